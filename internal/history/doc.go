// Package history looks after every moment of a branch: its WAL stream, its base backups, its checkpoints, what is kept of
// them for how long, and the way back to a point in time.
//
// A caller may rely on this: what a receiver has acknowledged to PostgreSQL lies on this machine's disk; a base backup counts when
// every location has it and it was read back; a restore either yields exactly the state of the moment that was asked for or an error
// that names the damaged object. The repository describes itself: nothing but the locations (and their key) is needed to
// find and restore everything. It never reads the metadata store, and never changes a branch's data directory but to mark its lineage.
package history
