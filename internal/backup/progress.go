package backup

// Progress is told what is being done: a step for a person, and how much of it is done of how much in total (0: not known), in a unit. It
// is called often, by one goroutine at a time, and must return at once. It may be nil.
type Progress func(step string, done, total int64, unit string)

func (p Progress) step(step string, done, total int64, unit string) {
	if p != nil {
		p(step, done, total, unit)
	}
}
