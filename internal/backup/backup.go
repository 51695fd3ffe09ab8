// Package backup makes portable backups of one database and takes them back: pg_dump's formats, a documented JSON format, CSV per
// table, restore, copying of tables between databases, and the proof that a backup restores.
//
// A caller may rely on this: what a backup holds is one consistent snapshot, memory stays bounded by the largest row and not by the
// database, both ends of every pipe are checked, and a backup counts as completed only after every copy of it was read back. A broken
// or truncated file is refused before anything is touched. Passwords reach PostgreSQL's programs by the environment only.
//
// It knows no projects and no permissions, keeps its catalogue beside the bytes, and never restores over rows by itself: that is a
// merge, which reports what it would do and does it in one transaction.
package backup
