// Package schema is the heart of Publish: it reads a database's structure completely from its catalogue, compares three
// structures (what was last published, development, production), plans the statements that lead from one to the other in
// order and with their hazards, applies them with compensation, and plans the way back.
//
// What a caller may rely on: what exists only in production because production changed is never dropped; whatever cannot be
// carried is refused by name, never left out in silence; dropped rows are set aside first. Planning is a pure function of
// catalogues that were read before: it never runs anything. Only Apply, Measure and the data checks touch a server, on the
// connection that they are given.
//
// It never decides who may publish and never looks for a server itself.
package schema

// HiddenPrefix begins the names of everything that the product itself keeps inside a user's database. Read leaves it out of
// the structure, and a dump that is compared must leave it out too (pg_dump --exclude-schema='_holdfast*').
const HiddenPrefix = "_holdfast"

// TombstoneSchema is where dropped tables and columns are set aside until the grace period ends.
const TombstoneSchema = HiddenPrefix + "_tombstones"
