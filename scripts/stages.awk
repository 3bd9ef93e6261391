# Attributes the samples of `perf script -F ip,sym` to stages of a message's way: each to the collector if that runs, else to the
# innermost frame that belongs to a stage. Prints the share of all samples, and the share within system calls.
#   perf script -F ip,sym | awk -f scripts/stages.awk
function count() {
	if (frames == 0) return
	if (collects) stage = "runtime: garbage collector"
	else if (stage == "") stage = schedules ? "runtime: scheduler, timers" : "the rest"
	samples[stage]++
	if (kernel) calls[stage]++
	all++
	frames = 0; stage = ""; collects = 0; schedules = 0; kernel = 0
}
NF == 0 { count(); next }
{
	frames++
	if (/do_syscall_64|linux\.Syscall6/) kernel = 1
	if (/runtime\.(gcBgMarkWorker|gcAssist|gcStart|gcMark|bgsweep|bgscavenge|gcDrain)/) collects = 1
	if (/runtime\.(schedule|mcall|findRunnable|park_m|mstart|sysmon)/) schedules = 1
	if (stage != "") next
	if (/log\/slog/) stage = "log lines"
	else if (/go\.etcd\.io\/bbolt/) stage = "index: bbolt"
	else if (/fxamacker\/cbor|boltstore\.(encode|toRecord)/) stage = "journal: encoding records"
	else if (/boltstore\.datasync/) stage = "journal: fdatasync"
	else if (/boltstore\.\(\*journal\)|boltstore\.osFile\.Write/) stage = "journal: grouping and writing"
	else if (/dinkymail\/queue\/boltstore/) stage = "store: states in memory, schedule, bodies read"
	else if (/dinkymail\/queue\./) stage = "queue: dispatch, claims, settling"
	else if (/dinkymail\/message\./) stage = "accept: message.Accept, addresses"
	else if (/dinkymail\/relay\./) stage = "relay: sending, replies"
	else if (/dinkymail\/smtp\.|emersion\/go-smtp/) stage = "SMTP: commands, replies, reading bodies"
}
END {
	count()
	for (s in samples) printf "| %s | %.1f %% | %.1f %% |\n", s, 100 * samples[s] / all, 100 * calls[s] / all | "sort -t'|' -k3 -rn"
}
