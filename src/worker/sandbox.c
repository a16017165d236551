/* sandbox.c - see sandbox.h. */
#include "worker/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__)
#define ATL_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ATL_SANITIZED 1
#endif
#endif

/* What decoding in memory and talking over an open socket needs. */
static const int ALLOWED[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(close), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
	SCMP_SYS(brk), SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(nanosleep), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sigaltstack), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_getaffinity), SCMP_SYS(getrandom),
	SCMP_SYS(restart_syscall), SCMP_SYS(tgkill), SCMP_SYS(getcpu), SCMP_SYS(fstat), SCMP_SYS(lseek),
	SCMP_SYS(umask), SCMP_SYS(getpeername),
};

/* What libraries try and can do without. */
static const int REFUSED[] = {
	SCMP_SYS(clone3), SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(newfstatat), SCMP_SYS(stat), SCMP_SYS(access),
	SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(ioctl),
	SCMP_SYS(prctl), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(prlimit64), SCMP_SYS(fcntl),
	SCMP_SYS(sched_setaffinity), SCMP_SYS(sched_getattr), SCMP_SYS(sched_setattr), SCMP_SYS(set_mempolicy),
};

static int add_rules(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < ATL_COUNT(ALLOWED); i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, ALLOWED[i], 0) != 0)
			return -1;
	for (size_t i = 0; i < ATL_COUNT(REFUSED); i++) {
		uint32_t code = REFUSED[i] == SCMP_SYS(clone3) ? ENOSYS : EPERM;
		if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(code), REFUSED[i], 0) != 0)
			return -1;
	}
	/* Memory that is never executable: code generators of libraries are told so and do without. */
	if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1,
			     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)) ||
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mprotect), 1,
			     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)))
		return -1;
	/* threads, but no new processes */
	if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ||
	    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
			     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ||
	    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)))
		return -1;
#ifdef ATL_SANITIZED
	/* the sanitizer's own needs: reading its maps at a report */
	if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(getppid), 0))
		return -1;
#endif
	return 0;
}

static enum atl_err limit_resources(struct atl_errinfo *info)
{
	struct {
		int what;
		rlim_t value;
	} limits[] = {
#ifndef ATL_SANITIZED /* shadow memory needs terabytes of address space */
		{RLIMIT_AS, ATL_SANDBOX_MEMORY_BYTES},
#endif
		{RLIMIT_CPU, ATL_SANDBOX_CPU_S},
		{RLIMIT_FSIZE, 0},
		{RLIMIT_CORE, 0},
	};
	for (size_t i = 0; i < ATL_COUNT(limits); i++) {
		struct rlimit limit = {.rlim_cur = limits[i].value, .rlim_max = limits[i].value};
		if (setrlimit((__rlimit_resource_t)limits[i].what, &limit) != 0)
			return atl_fail(info, ATL_ERR_INTERNAL, "setting a limit: %s", strerror(errno));
	}
	return ATL_OK;
}

enum atl_err atl_sandbox_enter(struct atl_errinfo *info)
{
	enum atl_err err = limit_resources(info);
	if (err)
		return err;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return atl_fail(info, ATL_ERR_INTERNAL, "prctl: %s", strerror(errno));
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return atl_fail(info, ATL_ERR_NOMEM, "seccomp filter");
	int rc = add_rules(filter);
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	if (rc != 0)
		return atl_fail(info, ATL_ERR_INTERNAL, "the kernel refuses the seccomp filter; pictures stay unread");
	return ATL_OK;
}
