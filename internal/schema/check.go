package schema

// CheckKind is what a look at the rows wants to know.
type CheckKind string

// The kinds of checks.
const (
	CheckNotNull     CheckKind = "not null"     // rows without a value
	CheckNoRows      CheckKind = "no rows"      // any row: a required column has no value for it
	CheckUnfilled    CheckKind = "unfilled"     // rows written since a required column was set aside: RefTable has no value for them
	CheckUnique      CheckKind = "unique"       // rows that share a key
	CheckExclusion   CheckKind = "exclusion"    // rows that exclude each other
	CheckExpression  CheckKind = "check"        // rows that break a condition
	CheckForeignKey  CheckKind = "foreign key"  // rows without a partner
	CheckCast        CheckKind = "cast"         // values that change or cannot be converted
	CheckPartition   CheckKind = "partition"    // rows that belong to no partition
	CheckRowsLeave   CheckKind = "rows leave"   // rows of a dropped table
	CheckValuesLeave CheckKind = "values leave" // values of a dropped column
)

// Check is a look at production's rows that a plan asks for. Names are those after the plan's renames.
type Check struct {
	Kind       CheckKind   `json:"kind"`
	Object     Address     `json:"object"` // what the plan changes
	Table      Address     `json:"table"`  // whose rows are looked at
	Columns    []string    `json:"columns,omitempty"`
	NullsEqual bool        `json:"nulls_equal,omitempty"`
	Expression string      `json:"expression,omitempty"` // rows for which it is false are violations
	Definition string      `json:"definition,omitempty"` // of an index or key
	RefTable   Address     `json:"ref_table,omitzero"`
	RefColumns []string    `json:"ref_columns,omitempty"`
	Only       bool        `json:"only,omitempty"` // not the tables below it
	Type       string      `json:"type,omitempty"`
	OldType    string      `json:"old_type,omitempty"`
	Using      string      `json:"using,omitempty"`
	Labels     []string    `json:"labels,omitempty"` // of the enum that values must fit
	Arrays     bool        `json:"arrays,omitempty"` // the values are arrays of such
	Bounds     []string    `json:"bounds,omitempty"` // of the partitions that rows must fit; Definition is the partition key
	Added      [][2]string `json:"added,omitempty"`  // columns that the plan adds to the table, and their value in rows that exist
	Key        []string    `json:"key,omitempty"`    // the primary key, to name rows by
}
