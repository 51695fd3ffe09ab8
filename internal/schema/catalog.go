package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Identity is where the object sits in its own server's catalogue. It means something only within one database and epoch:
// there it survives every rename.
type Identity struct {
	Class string `json:"class"` // the catalogue, such as pg_class
	OID   uint32 `json:"oid"`
	Sub   int32  `json:"sub,omitempty"` // attnum of a column
}

// Object is one thing in a database's structure.
type Object struct {
	Address
	ID       Identity          `json:"id"`
	Attrs    map[string]string `json:"attrs,omitempty"`     // everything that is compared, printed by the server
	Deps     []Address         `json:"deps,omitempty"`      // what must exist before it
	Position int               `json:"position,omitempty"`  // of a column in its table; never compared
	LabelIDs []uint32          `json:"label_ids,omitempty"` // of an enum, in the order of its labels
	Bytes    int64             `json:"bytes,omitempty"`     // of a table's heap; never compared
}

// attr returns an attribute, or "".
func (o *Object) attr(name string) string {
	if o == nil {
		return ""
	}
	return o.Attrs[name]
}

// is says whether a boolean attribute is set.
func (o *Object) is(name string) bool { return o.attr(name) == "true" }

// list returns an attribute that holds a JSON array of strings.
func (o *Object) list(name string) []string {
	var out []string
	if text := o.attr(name); text != "" {
		// The reader wrote it with the same encoder: anything else is a broken snapshot and shows as an empty list.
		_ = json.Unmarshal([]byte(text), &out)
	}
	return out
}

func (o *Object) clone() *Object {
	c := *o
	c.Attrs = maps.Clone(o.Attrs)
	c.Deps = slices.Clone(o.Deps)
	return &c
}

// Catalog is the complete structure of one database at one moment.
type Catalog struct {
	Version  int                 `json:"version"` // server_version_num
	Database string              `json:"database"`
	User     string              `json:"user"`            // who read it: the owner of what a plan creates unless it says otherwise
	Epoch    string              `json:"epoch,omitempty"` // see Epoch
	Objects  map[Address]*Object `json:"-"`
	Hidden   map[Address]*Object `json:"-"` // what the product itself keeps there: tombstones
	Roles    []string            `json:"roles,omitempty"`
	// Installable are the versions of each extension that the machine can install; the first is the default.
	Installable map[string][]string `json:"installable,omitempty"`
	// Casts are the casts of the server's catalogue, "source>target" to the context (i, a or e).
	Casts map[string]string `json:"casts,omitempty"`

	byIndex map[[2]string]*Object // constraints by the name of their index, made when first asked for
}

// catalogFile is a catalogue as JSON: its objects are lists.
type catalogFile struct {
	*plainCatalog
	Objects []*Object `json:"objects"`
	Hidden  []*Object `json:"hidden,omitempty"`
}

type plainCatalog Catalog // without the methods, which would call themselves

// MarshalJSON writes the catalogue so that it can be kept as a baseline.
func (c *Catalog) MarshalJSON() ([]byte, error) {
	file := catalogFile{plainCatalog: (*plainCatalog)(c)}
	for _, a := range c.Addresses() {
		file.Objects = append(file.Objects, c.Objects[a])
	}
	for _, a := range slices.SortedFunc(maps.Keys(c.Hidden), Address.compare) {
		file.Hidden = append(file.Hidden, c.Hidden[a])
	}
	return json.Marshal(file)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Catalog) UnmarshalJSON(text []byte) error {
	file := catalogFile{plainCatalog: (*plainCatalog)(c)}
	if err := json.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("read a catalogue: %w", err)
	}
	c.Objects, c.Hidden = make(map[Address]*Object, len(file.Objects)), make(map[Address]*Object, len(file.Hidden))
	for _, o := range file.Objects {
		c.Objects[o.Address] = o
	}
	for _, o := range file.Hidden {
		c.Hidden[o.Address] = o
	}
	return nil
}

// Get returns the object at a, or nil.
func (c *Catalog) Get(a Address) *Object { return c.Objects[a] }

// Addresses lists the objects in a stable order.
func (c *Catalog) Addresses() []Address {
	out := make([]Address, 0, len(c.Objects))
	for a := range c.Objects {
		out = append(out, a)
	}
	slices.SortFunc(out, Address.compare)
	return out
}

// Fingerprint is equal for two databases with the same structure, whatever their oids and the order of their columns.
func (c *Catalog) Fingerprint() string {
	h := sha256.New()
	for _, a := range c.Addresses() {
		fmt.Fprintf(h, "%q\n", a)
		o := c.Objects[a]
		for _, k := range slices.Sorted(maps.Keys(o.Attrs)) {
			if !notCompared(k) {
				fmt.Fprintf(h, " %q=%q\n", k, o.Attrs[k])
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// notCompared are attributes that say again what others say, or how an object came to be rather than what it is.
func notCompared(attr string) bool {
	switch attr {
	case "inherited", "columns", "ref", "ref_columns", "index", "type_name", "partition", "owned", "initial", "identity_arguments", "all_arguments", "partitioned", "relocatable", "populated":
		return true
	}
	return false
}

// relationKinds is the order in which a relation's name is looked up.
var relationKinds = [...]Kind{KindTable, KindView, KindMatView, KindForeignTable, KindComposite, KindSequence, KindIndex}

// relation finds the relation with that name, whatever its kind.
func (c *Catalog) relation(schema, name string) *Object {
	for _, k := range relationKinds {
		if o := c.Objects[Address{Kind: k, Schema: schema, Name: name}]; o != nil {
			return o
		}
	}
	return nil
}

// parent returns the object of which a is a part: the table of a column, the schema of a table. Second result false: none.
func (c *Catalog) parent(a Address) (Address, bool) {
	switch {
	case a.Kind == KindDefault:
		return Address{KindColumn, a.Schema, a.Name, a.Sub}, true
	case a.Kind.onRelation():
		if r := c.relation(a.Schema, a.Name); r != nil {
			return r.Address, true
		}
		return Address{}, false
	case a.Kind == KindDomainConstraint:
		return Address{Kind: KindDomain, Schema: a.Schema, Name: a.Name}, true
	case a.Kind == KindSequenceOwner:
		return Address{Kind: KindSequence, Schema: a.Schema, Name: a.Name}, true
	case a.Kind == KindIndexPartition:
		return Address{Kind: KindIndex, Schema: a.Schema, Name: a.Name}, true
	case a.Kind == KindIndex:
		if o := c.Objects[a]; o != nil {
			if r := c.relation(a.Schema, o.attr("table")); r != nil {
				return r.Address, true
			}
		}
		return Address{}, false
	case a.Schema != "":
		return Address{Kind: KindSchema, Name: a.Schema}, true
	}
	return Address{}, false
}
