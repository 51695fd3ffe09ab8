package schema

import (
	"container/heap"
	"slices"
)

// verb is what a node of the plan does with its object. An object that is made anew has two nodes or three.
type verb int

const (
	verbAside  verb = iota // rename the old one out of the way, so that both exist for a while
	verbDrop               // remove it, or set it aside
	verbAlter              // change it in place
	verbCreate             // make it
	verbRemove             // remove what was renamed out of the way
)

func (v verb) String() string {
	return [...]string{"rename aside", "drop", "alter", "create", "remove"}[v]
}

// The phases order nodes that do not depend on each other: first what adds, then what changes, last what takes away.
const (
	phaseExpand = iota
	phaseChange
	phaseContract
)

type nodeKey struct {
	verb verb
	addr Address
}

// node is a step of the plan that is ordered as one.
type node struct {
	key   nodeKey
	phase int
	rank  int // of the kind: schemas before types before tables ...
	next  map[*node]bool
	waits int
	index int // in the ready queue
	place int // in the final order
}

// priority compares nodes that could both come next.
func (n *node) before(m *node) bool {
	switch {
	case n.phase != m.phase:
		return n.phase < m.phase
	case n.key.verb != m.key.verb && n.phase != phaseChange:
		return n.key.verb < m.key.verb
	case n.rank != m.rank:
		return n.rank < m.rank
	case n.key.addr != m.key.addr:
		return n.key.addr.less(m.key.addr)
	}
	return n.key.verb < m.key.verb
}

// graph holds nodes and what must come before what.
type graph struct {
	nodes map[nodeKey]*node
}

func (g *graph) node(v verb, a Address) *node { return g.nodes[nodeKey{v, a}] }

// edge says that a comes before b. Nil nodes and a node before itself say nothing.
func (g *graph) edge(a, b *node) {
	if a == nil || b == nil || a == b || a.next[b] {
		return
	}
	if a.next == nil {
		a.next = map[*node]bool{}
	}
	a.next[b] = true
	b.waits++
}

type ready []*node

func (r ready) Len() int           { return len(r) }
func (r ready) Less(i, j int) bool { return r[i].before(r[j]) }
func (r ready) Swap(i, j int)      { r[i], r[j] = r[j], r[i]; r[i].index, r[j].index = i, j }
func (r *ready) Push(x any)        { n := x.(*node); n.index = len(*r); *r = append(*r, n) }
func (r *ready) Pop() any          { old := *r; n := old[len(old)-1]; *r = old[:len(old)-1]; return n }

// sort orders the nodes: everything after what it needs, and among what could come next by phase, kind and name. A node that an
// earlier phase waits for is pulled into that phase. What remains when nothing can come next is a circle, returned as such.
func (g *graph) sort() (order, circle []*node) {
	g.pullForward()
	var queue ready
	for _, n := range g.sorted() {
		if n.waits == 0 {
			heap.Push(&queue, n)
		}
	}
	for queue.Len() > 0 {
		n := heap.Pop(&queue).(*node)
		n.place = len(order)
		order = append(order, n)
		for m := range n.next {
			if m.waits--; m.waits == 0 {
				heap.Push(&queue, m)
			}
		}
	}
	if len(order) == len(g.nodes) {
		return order, nil
	}
	for _, n := range g.sorted() {
		if n.waits > 0 {
			circle = append(circle, n)
		}
	}
	return order, circle
}

func (g *graph) sorted() []*node {
	out := make([]*node, 0, len(g.nodes))
	for _, n := range g.nodes {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *node) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return out
}

// pullForward gives every node the earliest phase of those that wait for it.
func (g *graph) pullForward() {
	seen := map[*node]bool{}
	var visit func(n *node)
	visit = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		for m := range n.next {
			visit(m)
			n.phase = min(n.phase, m.phase)
		}
	}
	for _, n := range g.nodes {
		visit(n)
	}
}

// kindRank is the order in which objects that do not need each other are made; they go in the reverse order.
func kindRank(k Kind) int {
	order := []Kind{
		KindSetting, KindSchema, KindLanguage, KindExtension, KindAccessMethod, KindCollation, KindEnum, KindBaseType, KindComposite, KindDomain, KindDomainConstraint, KindRange,
		KindSequence, KindFDW, KindServer, KindUserMapping, KindTable, KindForeignTable, KindFunction, KindProcedure, KindAggregate, KindOperator, KindOperatorFamily, KindOperatorClass,
		KindCast, KindTransform, KindConversion, KindTSParser, KindTSTemplate, KindTSDictionary, KindTSConfig,
		KindInheritance, KindColumn, KindDefault, KindSequenceOwner, KindPartition, KindIndex, KindConstraint, KindIndexPartition, KindStatistics,
		KindView, KindMatView, KindRule, KindTrigger, KindPolicy, KindPublication, KindPublicationTable, KindPublicationSpace, KindSubscription, KindEventTrigger, KindExtensionMember, KindDefaultACL,
	}
	return slices.Index(order, k)
}
