#!/bin/bash
# Two builds of Atelier in turn: what a chat completion costs through each, in processor time a request.
# Use: pair.sh OLD NEW [ROUNDS]     OLD, NEW: the programs (release builds)
# Servers share core 0, the service behind them and the load run on core 1; both are warm before the first round, and the
# order changes from round to round, so that a noisy machine is noisy for both. Prints each round, then the medians.
set -eu

old=${1:?"use: pair.sh OLD NEW [ROUNDS]"}
new=${2:?"use: pair.sh OLD NEW [ROUNDS]"}
rounds=${3:-12}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d /tmp/atl_gateway_XXXXXX)
pids=
base=${BENCH_PORT:-19490}
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || true; done; for pid in $pids; do wait "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT INT TERM

on() { exec taskset -c "$@"; } # in a subshell
json() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
wait_port() {
	for _ in $(seq 100); do
		(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
		sleep 0.1
	done
	echo "nothing listens on port $1" >&2
	exit 1
}

cc -O2 -std=c17 -o "$work/upstream" "$here/upstream.c"
cc -O2 -std=c17 -o "$work/load" "$here/load.c"
on 1 "$work/upstream" "$base" >/dev/null 2>&1 &
pids=$!
wait_port "$base"

# up NAME PROGRAM PORT: sets NAME_pid, NAME_key, NAME_model
up() {
	local url=http://127.0.0.1:$3 csrf provider pid key
	on 0 "$2" serve --data "$work/$1" --port "$3" --engine-enabled=false --outbound-private=127.0.0.1 >"$work/$1.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	wait_port "$3"
	call() { curl -s --fail-with-body -b "$work/$1.jar" -H "Origin: $url" -H "X-CSRF-Token: $csrf" -H 'Content-Type: application/json' "${@:2}"; }
	csrf=$(curl -sf -c "$work/$1.jar" -H "Origin: $url" -H 'Content-Type: application/json' "$url/api/v1/setup" -d '{"name":"bench","password":"correct horse battery"}' | json csrf_token)
	provider=$(call "$1" "$url/api/v1/providers" -d "{\"preset\":\"custom\",\"name\":\"Bench\",\"base_url\":\"http://127.0.0.1:$base/v1\",\"key\":\"k\"}" | json id)
	call "$1" -X POST "$url/api/v1/providers/$provider/refresh" >/dev/null
	key=$(call "$1" "$url/api/v1/keys" -d '{"name":"bench","scopes":["chat"]}' | json key)
	# the new one has allowances to look after, far from used up
	for kind in messages output_tokens; do
		[ "$1" = old ] || call "$1" -X PUT "$url/api/v1/quotas" >"$work/quota" \
			-d "{\"scope\":\"everyone\",\"kind\":\"$kind\",\"span\":\"month\",\"amount\":1000000000000}" || { cat "$work/quota" >&2; exit 1; }
	done
	eval "$1_pid=$pid $1_key=$key $1_model=$provider/bench $1_port=$3"
}
up old "$old" $((base + 1))
up new "$new" $((base + 2))
# us NAME: microseconds of processor time a request
us() {
	local pid=$1_pid key=$1_key model=$1_model port=$1_port
	(on 1 "$work/load" "$1" "${!port}" 64 2 "${!pid}" whole "${!key}" "${!model}" >"$work/line" 2>&1)
	grep -q '  0 errors' "$work/line" || { cat "$work/line" >&2; exit 1; }
	sed -n 's/.* \([0-9.]*\) us CPU.*/\1/p' "$work/line"
}
us old >/dev/null
us new >/dev/null
for round in $(seq "$rounds"); do
	if [ $((round % 2)) = 0 ]; then a=$(us old) b=$(us new); else b=$(us new) a=$(us old); fi
	printf '%s %s\n' "$a" "$b" | tee -a "$work/rounds"
done
awk '{ a[NR] = $1; b[NR] = $2; d[NR] = $2 - $1 }
	function middle(x, n, i, j, t) { for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (x[j] < x[i]) { t = x[i]; x[i] = x[j]; x[j] = t }
		return n % 2 ? x[(n + 1) / 2] : (x[n / 2] + x[n / 2 + 1]) / 2 }
	END { printf "old %.1f us, new %.1f us, difference of pairs %.1f us (medians of %d)\n", middle(a, NR), middle(b, NR), middle(d, NR), NR }' "$work/rounds"
