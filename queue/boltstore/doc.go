// Package boltstore keeps the queue on one machine's disk: bodies in a journal of segment files, records in a bbolt file.
//
// The journal comes first. Every change (a new message, a changed record, a removal) is one record at the end of the active
// segment, and is acknowledged after one sync of that file. One goroutine writes the journal: it takes everything that waits,
// with no artificial delay for new mail, writes it at once, syncs once and answers all. Changed records wait for up to
// Config.SettleDelay so that new mail takes them along. A body stays where the journal put it and is read
// from there for delivery.
//
// The index, queue.db, follows behind. What the journal has and the index has not is kept in memory, where every method
// sees it, and is written to bbolt in one transaction a second, or earlier when much has come together. That transaction also
// holds the journal position it reaches; Open plays the journal from there. A message that was accepted and delivered within
// the second never costs the index more than its finished record. So settling a message waits for one sync of the journal,
// as accepting one does, and never for bbolt's own two; and what is settled together with what is accepted shares that sync.
//
// # The directory
//
//	queue.db             the index (bbolt)
//	segments/NNNNNNNN.seg  the journal, with all bodies up to Config.LargeBytes
//	large/ID             bodies above that, one file each
//	damaged/             what could not be read, set aside for a human; delete it once it was looked at. ID.body says why the
//	                     body of a message cannot be read
//	reserve              space given up when the disk is full, so that results can still be recorded
//	lock                 held while a process uses the directory; names its pid
//
// # What is kept
//
// A message is waiting, finished, captured or removed, and has a bucket of the index for each. A held one is a waiting one that is
// in no order of time. Removed mail keeps its body, which compaction carries along, until Expire takes it. Notes are in the index
// alone: SetNote waits for its next transaction. An index in which something is held, removed or noted is marked so that versions
// that do not know of these refuse it; any other can be opened by them.
//
// # Who is next
//
// What is due stands in a line per sender (queue.Message.Sender), and the senders take turns. A sender's first few messages go
// ahead of those who already sent more and have not come to the end of it, three of them for one. Claiming costs the same
// however much waits. In the index the sender stands behind the time at which a message is due; of messages that an earlier
// version kept it is not known before their first attempt, and until then they are all of one sender.
//
// # What it promises
//
// A nil error means: on the disk. Accepted mail survives kill -9 and power loss, of this process and of the machine, as far
// as the disk keeps what it says it has synced. Every body is checked against a checksum (CRC-32C) when it is read; a damaged
// one gives ErrDamaged, never other people's bytes, is named in the log and counted until its message is finished or removed, restarts
// included. What cannot be read is set aside and counted, and never stops the rest.
// An incomplete record at the very end of the journal was never acknowledged, and is cut off at the next Open.
//
// When the disk is full, Put answers queue.ErrNoSpace and keeps nothing, while changed records still fit into the reserve; it
// goes on by itself once there is space. When a write or a sync fails in any other way, nobody can say what the disk holds:
// every later change answers queue.ErrBroken until a restart, which reads what is really there.
//
// # Limits
//
// A Put takes at most Config.LargeBytes of memory for its body; longer ones stream into a file of their own. Of the bodies of the
// last second up to warmMost bytes stay in memory for their first reading. The index may lag
// behind by at most twice Config.FlushRecords messages; then changes wait. The order of what waits takes about 70 bytes of memory
// for each message, and some 150 for each sender of whom something is due. A segment is deleted once nothing in it is needed, and one that is mostly dead has its living bodies copied
// to the end of the journal, so that a single deferred message does not keep a segment. Times outside the years 1678 to 2262
// are cut to those.
//
// # Who runs where
//
// Open starts three goroutines and Close ends them: the journal's, the index's, and the one that copies out of mostly dead
// segments. Changes of one message happen one after the other, whoever asks; changes of different messages are independent.
package boltstore
