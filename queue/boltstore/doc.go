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
// The journal needs no index: from it alone Open makes one anew. Records do not keep their segment; a checkpoint does that for all
// of them. It is a file of every record and note as the index had them, with where the bodies are, written now and then by the
// goroutine that looks after segments. A segment is deleted only when no body in it is needed and a checkpoint is newer than it.
//
// # The directory
//
//	queue.db             the index (bbolt)
//	segments/NNNNNNNN.seg  the journal, with all bodies up to Config.LargeBytes
//	segments/NNNNNNNN.checkpoint  all records before that segment
//	large/ID             bodies above that, one file each
//	damaged/             what could not be read, set aside for a human; delete it once it was looked at. ID.body says why the
//	                     body of a message cannot be read
//	sum                  checksum of the index, as a clean Close left it
//	reserve              space given up when the disk is full, so that results can still be recorded
//	lock                 held while a process uses the directory; names its pid
//
// # What is kept
//
// A message is waiting, finished, captured or removed, and has a bucket of the index for each. A held one is a waiting one that is
// in no order of time, as is a leg of which nothing will be tried. Removed mail keeps its body, which compaction carries along, until Expire takes it. Notes are records of the
// journal as messages are. What an earlier version kept is brought to a checkpoint by the first Open, before it returns.
//
// # Who is next
//
// The legs that wait are in memory, in the order in which package turns hands them out. The index has a row for each: the time at
// which it is due, the ID and the number of the leg, and behind these the sender and the lane. What an earlier version kept is one
// leg on the lane "upstream". Its sender may not be known before its first attempt; until then all of it is of one sender.
//
// # Claims
//
// Claims are in memory and cost the disk nothing; a crash gives all of them back. To claim reads no record, so it gives all or
// nothing. To begin reads it, and it stays known until the claim ends, so that settling reads nothing. A claim lapses when somebody
// looks at the clock after its time; its holder may go on until somebody else gets the leg. It does not lapse while its result
// is being written.
//
// # What it promises
//
// A nil error means: on the disk. Accepted mail survives kill -9 and power loss, of this process and of the machine, as far
// as the disk keeps what it says it has synced. Every body is checked against a checksum (CRC-32C) when it is read; a damaged
// one gives ErrDamaged, never other people's bytes, is named in the log and counted until its message is finished or removed, restarts
// included. What cannot be read is set aside and counted, and never stops the rest.
// An incomplete record at the very end of the journal was never acknowledged, and is cut off at the next Open.
//
// bbolt trusts what it reads, so Open reads the index before bbolt does. After a clean Close it compares the checksum of the whole
// file, else it walks through all pages: each must be where it should be, each record must have its checksum, and records, orders
// and counts must agree. An index that is not what was written goes to damaged/queue.db, and is made anew from the journal with
// everything that was kept, finished mail included; nothing that was settled comes back. Only where the journal itself lost something
// is something missing: then one line says how much, and files that no message is known for are set aside and never deleted.
// Damage that is found while the store is open ends its changes (queue.ErrBroken) if bbolt ran into it, and the next Open mends it.
//
// Names of new files and directories are synced before anything in them is acknowledged, those of the directory's parents too.
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
// for each leg, and some 150 for each sender of whom something is due; a claim takes some 200 and the record, until it ends. A segment that is mostly dead has its living bodies
// copied to the end of the journal, so that a single deferred message does not keep a segment. A checkpoint takes what the records
// take, some 0.3 to 1 KB for each message kept, finished ones included; dead segments wait for the next one until they are as large
// as the last one, or as one segment. So checkpoints cost at most twice the size of all records, three times while one is written,
// and write at most a byte for each that is freed. On a full disk they leave out finished mail, and are written for any dead segment.
// To make the index anew takes about 9 s for a million messages, and no more memory than to open it. Times outside the years 1678 to 2262
// are cut to those.
//
// # Who runs where
//
// Open starts three goroutines and Close ends them: the journal's, the index's, and the one that looks after segments: it writes
// checkpoints, deletes what is dead and copies out of what is mostly dead. Changes of one message happen one after the other, whoever asks; changes of different messages are independent.
package boltstore
