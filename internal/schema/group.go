package schema

// maxGroup bounds how many statements share a transaction, and with it how long their locks are held.
const maxGroup = 50

// renameGroup marks the statements that rename before groups are numbered.
const renameGroup = -1

// asideGroup is the first, counted downwards, of the marks by which the statements that set a column aside stay together.
const asideGroup = -2

// groupStatements numbers the transactions of the plan. The statements of a swap stay together however many they are; otherwise
// statements share a transaction as long as they neither read whole tables nor lock more than one table that others use.
func groupStatements(plan *Plan) {
	group, size := 0, 0
	var table Address
	swap := 0
	for i := range plan.Statements {
		s := &plan.Statements[i]
		inSwap := s.Group
		fresh := i == 0
		switch {
		case inSwap != 0:
			fresh = fresh || swap != inSwap
		case !s.Transactional || s.Scans || s.Repeat:
			fresh = true
		default:
			prev := Statement{}
			if i > 0 {
				prev = plan.Statements[i-1]
			}
			fresh = fresh || swap != 0 || size >= maxGroup || !prev.Transactional || prev.Scans || prev.Repeat || lockedOther(*s, table)
		}
		if fresh {
			group, size, table = group+1, 0, Address{}
		}
		swap = inSwap
		s.Group = group
		size++
		if len(s.Locks) > 0 && s.Lock.Stronger(ShareUpdateExclusive) {
			table = s.Locks[0]
		}
	}
}

// lockedOther says whether the statement stops users of another table than those before it.
func lockedOther(s Statement, table Address) bool {
	if table == (Address{}) || !s.Lock.Stronger(ShareUpdateExclusive) {
		return false
	}
	for _, l := range s.Locks {
		if l != table {
			return true
		}
	}
	return false
}
