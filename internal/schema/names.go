package schema

import (
	"strings"

	"github.com/holdfast/holdfast"
)

func quote(name string) string { return holdfast.QuoteIdentifier(name) }

// qualify is the object's name with its schema, ready for SQL.
func qualify(schema, name string) string { return holdfast.QuoteQualified(schema, name) }

// literal is a string constant ready for SQL.
func literal(text string) string { return strings.TrimSpace(holdfast.QuoteLiteral(text)) }

// sqlName is the object's own name as its ALTER and DROP statements want it.
func sqlName(o *Object) string {
	switch o.Kind {
	case KindFunction, KindProcedure, KindAggregate:
		return qualify(o.Schema, o.Name) + "(" + o.attr("identity_arguments") + ")"
	case KindOperator:
		return quote(o.Schema) + "." + o.Name + " (" + o.Sub + ")"
	case KindOperatorClass, KindOperatorFamily:
		return qualify(o.Schema, o.Name) + " USING " + quote(o.Sub)
	case KindCast:
		return "(" + o.Name + ")"
	case KindTransform:
		return "FOR " + o.Name
	case KindColumn:
		return qualify(o.Schema, o.Name) + "." + quote(o.Sub)
	case KindConstraint, KindTrigger, KindRule, KindPolicy:
		return quote(o.Sub) + " ON " + qualify(o.Schema, o.Name)
	case KindDomainConstraint:
		return quote(o.Sub) + " ON DOMAIN " + qualify(o.Schema, o.Name)
	}
	if o.Schema == "" {
		return quote(o.Name)
	}
	return qualify(o.Schema, o.Name)
}

// sqlKind is the word for the object's kind in ALTER, DROP and COMMENT.
func sqlKind(k Kind) string {
	switch k {
	case KindEnum, KindComposite, KindRange, KindBaseType:
		return "TYPE"
	case KindDomainConstraint:
		return "CONSTRAINT"
	}
	return strings.ToUpper(string(k))
}

// tableName is the qualified name of the relation that a part belongs to.
func (a Address) tableName() string { return qualify(a.Schema, a.Name) }
