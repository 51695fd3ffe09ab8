package schema

import (
	"container/heap"
	"slices"
)

// arrange gathers what is removed and made anew, each with what lies between its removal and its return, and returns the new order
// with those stretches: one transaction each, so that nobody sees anything missing. What merely stood in between moves before or
// behind, so that an index can be built there while clients go on.
func (p *planner) arrange(order []*node) (arranged []*node, swaps [][2]int) {
	tied := map[*node][]*node{}
	for _, a := range p.sortedOps() {
		together := p.together(a)
		for i, n := range together { // a ring: each reaches each
			if next := together[(i+1)%len(together)]; next != n {
				tied[n] = append(tied[n], next)
			}
		}
	}
	// Tied nodes reach each other, so what must stand between two of them lies on a circle with them, and only that does.
	parts := circles(order, func(n *node) []*node {
		out := slices.Clone(tied[n])
		for m := range n.next {
			out = append(out, m)
		}
		return out
	})
	for _, part := range sortParts(parts) {
		if len(part) > 1 {
			swaps = append(swaps, [2]int{len(arranged), len(arranged) + len(part) - 1})
		}
		arranged = append(arranged, part...)
	}
	return arranged, swaps
}

// together lists the nodes between which an object is missing, or not what it was: its removal, its return and that of its parts.
func (p *planner) together(a Address) []*node {
	o := p.ops[a]
	if o.change != recreate && !p.asides[a] || p.asides[a] && a.Kind == KindIndex {
		return nil
	}
	out := []*node{p.home(verbAside, a), p.home(verbDrop, a), p.home(verbCreate, a), p.graph.node(verbRemove, a)}
	if o.change == recreate && a.Kind.hasColumns() {
		// Nobody shall see its successor without its rows, its triggers or its policies.
		p.eachPart(true, a, func(part Address) { out = append(out, p.home(verbCreate, part)) })
		out = append(out, p.graph.node(verbCreate, rowsOf(a)))
	}
	out = slices.DeleteFunc(out, func(n *node) bool { return n == nil })
	slices.SortFunc(out, func(x, y *node) int { return x.place - y.place })
	return slices.Compact(out)
}

// sortParts orders parts as their nodes need each other; among those that could come next, the one that came first before. Inside
// a part the order stays.
func sortParts(parts [][]*node) [][]*node {
	of, waits := map[*node]int{}, make([]int, len(parts))
	for i, part := range parts {
		slices.SortFunc(part, func(x, y *node) int { return x.place - y.place })
		for _, n := range part {
			of[n] = i
		}
	}
	next := make([]map[int]bool, len(parts))
	for i, part := range parts {
		next[i] = map[int]bool{}
		for _, n := range part {
			for m := range n.next {
				if j := of[m]; j != i && !next[i][j] {
					next[i][j] = true
					waits[j]++
				}
			}
		}
	}
	var queue firstPlace
	for i, part := range parts {
		if waits[i] == 0 {
			heap.Push(&queue, place{part[0].place, i})
		}
	}
	var out [][]*node
	for queue.Len() > 0 {
		i := heap.Pop(&queue).(place).part
		out = append(out, parts[i])
		for j := range next[i] {
			if waits[j]--; waits[j] == 0 {
				heap.Push(&queue, place{parts[j][0].place, j})
			}
		}
	}
	return out
}

type place struct{ first, part int }

type firstPlace []place

func (q firstPlace) Len() int           { return len(q) }
func (q firstPlace) Less(i, j int) bool { return q[i].first < q[j].first }
func (q firstPlace) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *firstPlace) Push(x any)        { *q = append(*q, x.(place)) }
func (q *firstPlace) Pop() any          { old := *q; x := old[len(old)-1]; *q = old[:len(old)-1]; return x }

// circles divides a graph into its strongly connected components (Tarjan's algorithm): two nodes are in one when each reaches the
// other. A node on no circle is alone.
func circles[N comparable](nodes []N, next func(N) []N) [][]N {
	var out [][]N
	var stack []N
	number, low, open := map[N]int{}, map[N]int{}, map[N]bool{}
	var visit func(n N)
	visit = func(n N) {
		number[n] = len(number) + 1
		low[n] = number[n]
		stack, open[n] = append(stack, n), true
		for _, m := range next(n) {
			if number[m] == 0 {
				visit(m)
				low[n] = min(low[n], low[m])
			} else if open[m] {
				low[n] = min(low[n], number[m])
			}
		}
		if low[n] != number[n] {
			return
		}
		at := len(stack) - 1
		for stack[at] != n {
			at--
		}
		for _, m := range stack[at:] {
			open[m] = false
		}
		out = append(out, slices.Clone(stack[at:]))
		stack = stack[:at]
	}
	for _, n := range nodes {
		if number[n] == 0 {
			visit(n)
		}
	}
	return out
}
