#!/bin/bash
# The gateway bench: what a chat completion costs through Atelier, beside proxies that know nothing of it.
# Use: run.sh BIN [SECONDS]     BIN: the atelier program (a release build)
# Each server is pinned to core 0; the service behind it and the load run on core 1. Peers that are not installed are
# left out (PORTKEY_DIR: a folder with node_modules/@portkey-ai/gateway).
set -eu

bin=${1:?"use: run.sh BIN [SECONDS]"}
seconds=${2:-3}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d /tmp/atl_gateway_XXXXXX)
pids=
base=${BENCH_PORT:-19470}
up=$base atelier=$((base + 1)) nginx=$((base + 2)) haproxy=$((base + 3)) portkey=8787

cleanup() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	for pid in $pids; do wait "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}
trap cleanup EXIT INT TERM

cores=$(nproc)
on() { # CORE COMMAND...
	core=$1
	shift
	if [ "$cores" -gt 1 ]; then exec taskset -c "$core" "$@"; else exec "$@"; fi
}
start() { # CORE COMMAND...: in the background, its id in $started
	(on "$@") >"$work/log.$#.$(basename "$2")" 2>&1 &
	started=$!
	pids="$pids $started"
}
wait_port() {
	tries=0
	until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || { echo "nothing listens on port $1" >&2; exit 1; }
		sleep 0.1
	done
}

json() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

cc -O2 -std=c17 -o "$work/upstream" "$here/upstream.c"
cc -O2 -std=c17 -o "$work/load" "$here/load.c"
start 1 "$work/upstream" "$up"
upstream_pid=$started
wait_port "$up"

# ---- Atelier: an owner, a provider, a key ----
start 0 "$bin" serve --data "$work/data" --port "$atelier" --engine-enabled=false --outbound-private=127.0.0.1
atelier_pid=$started
wait_port "$atelier"
url=http://127.0.0.1:$atelier
curl -sf -c "$work/jar" -H "Origin: $url" -H 'Content-Type: application/json' "$url/api/v1/setup" \
	-d '{"name":"bench","password":"correct horse battery"}' >"$work/setup.json"
csrf=$(json csrf_token <"$work/setup.json")
[ -n "$csrf" ] || csrf=$(curl -sf -b "$work/jar" "$url/api/v1/session" | json csrf_token)
call() { curl -s --fail-with-body -b "$work/jar" -H "Origin: $url" -H "X-CSRF-Token: $csrf" -H 'Content-Type: application/json' "$@"; }
call "$url/api/v1/providers" -d "{\"preset\":\"custom\",\"name\":\"Bench\",\"base_url\":\"http://127.0.0.1:$up/v1\",\"key\":\"k\"}" >"$work/provider.json"
provider=$(json id <"$work/provider.json")
call -X POST "$url/api/v1/providers/$provider/refresh" >/dev/null
key=$(call "$url/api/v1/keys" -d '{"name":"bench","scopes":["chat"]}' | json key)

measure() { # NAME PORT PIDS [KEY] [MODEL]
	(on 1 "$work/load" "$1" "$2" 8 0.3 - whole "${4:-none}" "${5:-bench}") >/dev/null
	(on 1 "$work/load" "$1" "$2" 64 "$seconds" "$3" whole "${4:-none}" "${5:-bench}")
	(on 1 "$work/load" "$1, one at a time" "$2" 1 1 "$3" whole "${4:-none}" "${5:-bench}")
	(on 1 "$work/load" "$1, streams" "$2" 512 2 "$3" stream "${4:-none}" "${5:-bench}")
}

measure "direct" "$up" "$upstream_pid"
measure "Atelier" "$atelier" "$atelier_pid" "$key" "$provider/bench"

if command -v nginx >/dev/null || [ -x /usr/sbin/nginx ]; then
	cat >"$work/nginx.conf" <<END
worker_processes 1; daemon off; pid $work/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http { access_log off; client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/f;
  uwsgi_temp_path $work/u; scgi_temp_path $work/s; keepalive_requests 1000000000;
  upstream up { server 127.0.0.1:$up; keepalive 600; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:$nginx; location / { proxy_pass http://up; proxy_http_version 1.1; proxy_buffering off;
    proxy_set_header Connection ""; } } }
END
	PATH=$PATH:/usr/sbin start 0 nginx -c "$work/nginx.conf"
	wait_port "$nginx"
	measure "nginx" "$nginx" "$started,$(pgrep -d, -P "$started")"
	kill "$started"
fi

if command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ]; then
	cat >"$work/haproxy.cfg" <<END
global
  nbthread 1
  maxconn 5000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
frontend f
  bind 127.0.0.1:$haproxy
  default_backend b
backend b
  http-reuse always
  server s 127.0.0.1:$up
END
	PATH=$PATH:/usr/sbin start 0 haproxy -db -f "$work/haproxy.cfg"
	wait_port "$haproxy"
	measure "HAProxy" "$haproxy" "$started"
	kill "$started"
fi

gateway=${PORTKEY_DIR:-$here}/node_modules/@portkey-ai/gateway/build/start-server.js
if [ -f "$gateway" ]; then
	export CUSTOM_HOST="http://127.0.0.1:$up/v1"
	NODE_ENV=production TRUSTED_CUSTOM_HOSTS=127.0.0.1 start 0 node "$gateway" --headless --port=$portkey
	wait_port "$portkey"
	measure "Portkey" "$portkey" "$started"
fi
