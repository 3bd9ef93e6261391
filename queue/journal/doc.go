// Package journal is an append-only log of records in segment files, with group commit, that
// survives power loss.
//
// It knows nothing of what the records mean. Its owner says what a record is (an Entry: a kind, an
// ID, meta data and a body), how each kind is treated (a Format), and what is to happen once
// records are on the disk (Config.Applied). So a queue, mailboxes or a log of changes stand on the
// same ground.
//
// # What it promises
//
// A nil error of Append means: on the disk, as far as the disk keeps what it says it has synced.
// Records stand in the journal in the order in which Config.Applied sees them, and Replay gives
// them back in that order. Each record and each body has a checksum (CRC-32C), and each file a
// random salt, so that neither damage nor a body that looks like a record is taken for one. What is
// damaged in the middle is told to the owner and skipped; an incomplete record at the very end was
// never acknowledged, and is cut off. Names of new files are synced before anything in them is
// acknowledged.
//
// When the disk is full, Append refuses what is not Essential; the rest is written into the space
// that the Reserve gives up. After any other failed write or sync nobody can say what the disk
// holds: the Fault is set then, and every later Append is refused until the journal is opened anew.
//
// # Segments and checkpoints
//
// The journal grows by segments of about Config.SegmentBytes. The owner says which of them it needs
// no more, and removes them. A checkpoint is a file beside the segments with all that the owner has
// to say of the segments before it; it appears whole or not at all.
//
// # Who runs where
//
// Run is one goroutine, and alone writes. It takes everything that waits, writes it at once, syncs
// once and answers all. Records of a Lazy kind wait for up to Config.Settle, so that others take
// them along. Applied, Live and Room are called by it, one at a time. Append, Hand and the methods
// of Segments may be called from any goroutine; checkpoints are the business of one at a time.
//
// # Limits
//
// What one sync takes along is held in memory: some Config.BatchBytes, or one record. Up to 32
// segments are open for reading.
package journal
