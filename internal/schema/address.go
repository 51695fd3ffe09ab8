package schema

import (
	"cmp"
	"strings"
)

// Kind is what sort of catalogue object an address names.
type Kind string

// The kinds of objects. Parts that can change, appear or vanish on their own are objects of their own (a column, its default,
// a partition's attachment, a sequence's owner): that keeps dependencies fine enough to be ordered without cycles.
const (
	KindSchema           Kind = "schema"
	KindExtension        Kind = "extension"
	KindLanguage         Kind = "language"
	KindEnum             Kind = "enum"
	KindDomain           Kind = "domain"
	KindDomainConstraint Kind = "domain constraint"
	KindComposite        Kind = "composite type"
	KindRange            Kind = "range type"
	KindBaseType         Kind = "base type"
	KindCollation        Kind = "collation"
	KindConversion       Kind = "conversion"
	KindFunction         Kind = "function"
	KindProcedure        Kind = "procedure"
	KindAggregate        Kind = "aggregate"
	KindOperator         Kind = "operator"
	KindOperatorFamily   Kind = "operator family"
	KindOperatorClass    Kind = "operator class"
	KindCast             Kind = "cast"
	KindAccessMethod     Kind = "access method"
	KindTransform        Kind = "transform"
	KindSequence         Kind = "sequence"
	KindSequenceOwner    Kind = "sequence owner"
	KindTable            Kind = "table"
	KindForeignTable     Kind = "foreign table"
	KindColumn           Kind = "column"
	KindDefault          Kind = "default"
	KindPartition        Kind = "partition"
	KindInheritance      Kind = "inheritance"
	KindConstraint       Kind = "constraint"
	KindIndex            Kind = "index"
	KindIndexPartition   Kind = "index partition"
	KindStatistics       Kind = "statistics"
	KindView             Kind = "view"
	KindMatView          Kind = "materialized view"
	KindRule             Kind = "rule"
	KindTrigger          Kind = "trigger"
	KindPolicy           Kind = "policy"
	KindEventTrigger     Kind = "event trigger"
	KindTSParser         Kind = "text search parser"
	KindTSTemplate       Kind = "text search template"
	KindTSDictionary     Kind = "text search dictionary"
	KindTSConfig         Kind = "text search configuration"
	KindFDW              Kind = "foreign data wrapper"
	KindServer           Kind = "server"
	KindUserMapping      Kind = "user mapping"
	KindPublication      Kind = "publication"
	KindPublicationTable Kind = "publication table"
	KindPublicationSpace Kind = "publication schema"
	KindSubscription     Kind = "subscription"
	KindDefaultACL       Kind = "default privileges"
	KindSetting          Kind = "database setting"
	KindExtensionMember  Kind = "extension member"
)

// Address names an object the same way in every database: by kind and names, never by oid. Sub is the part's own name
// (a column of a table) or what tells namesakes apart (the argument types of a function).
type Address struct {
	Kind   Kind   `json:"kind"`
	Schema string `json:"schema,omitempty"`
	Name   string `json:"name"`
	Sub    string `json:"sub,omitempty"`
}

// String is the address as people read it and as questions carry it: "column public.users.name".
func (a Address) String() string { return string(a.Kind) + " " + a.Label() }

// Label is the address without its kind: "public.users.name".
func (a Address) Label() string {
	var b strings.Builder
	if a.Schema != "" {
		b.WriteString(a.Schema + ".")
	}
	b.WriteString(a.Name)
	switch {
	case a.Kind == KindFunction, a.Kind == KindProcedure, a.Kind == KindAggregate, a.Kind == KindOperator:
		b.WriteString("(" + a.Sub + ")")
	case a.Kind == KindOperatorClass, a.Kind == KindOperatorFamily:
		b.WriteString(" using " + a.Sub)
	case a.Sub != "":
		b.WriteString("." + a.Sub)
	}
	return b.String()
}

// compare orders addresses for stable output.
func (a Address) compare(b Address) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Schema, b.Schema), strings.Compare(a.Name, b.Name), strings.Compare(a.Sub, b.Sub))
}

// less says whether a comes before b.
func (a Address) less(b Address) bool { return a.compare(b) < 0 }

// onRelation are the kinds whose objects are parts of a table, view or composite type: Schema and Name are the relation's.
func (k Kind) onRelation() bool {
	switch k {
	case KindColumn, KindDefault, KindPartition, KindInheritance, KindConstraint, KindRule, KindTrigger, KindPolicy, KindPublicationTable:
		return true
	}
	return false
}

// isRelation are the kinds that share the name space of tables.
func (k Kind) isRelation() bool {
	switch k {
	case KindTable, KindForeignTable, KindView, KindMatView, KindSequence, KindIndex, KindComposite:
		return true
	}
	return false
}

// hasColumns are the relations whose columns are objects.
func (k Kind) hasColumns() bool {
	switch k {
	case KindTable, KindForeignTable, KindView, KindMatView, KindComposite:
		return true
	}
	return false
}

// isType are the kinds that a column can have as its type, besides the row types of relations.
func (k Kind) isType() bool {
	switch k {
	case KindEnum, KindDomain, KindComposite, KindRange, KindBaseType:
		return true
	}
	return false
}

// isRoutine are the kinds kept in pg_proc.
func (k Kind) isRoutine() bool { return k == KindFunction || k == KindProcedure || k == KindAggregate }
