package sample

import (
	"hash/fnv"
	"math/bits"
)

// seed is the same for everybody: a bug seen on one machine's sample is there on every machine's.
const seed = 0x486f6c6466617374 // "Holdfast"

// random is splitmix64. A row's stream depends on its table and identifier alone, so that a row can be known without those
// before it, and nothing needs to be kept.
type random struct{ state uint64 }

func streamOf(table string, id int64) random {
	h := fnv.New64a()
	h.Write([]byte(table)) // never fails
	return random{state: mix(h.Sum64()^seed) + mix(uint64(id))}
}

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	return mix(r.state)
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below is uniform over 0..n-1. n must be positive.
func (r *random) below(n int64) int64 {
	high, _ := bits.Mul64(r.next(), uint64(n))
	return int64(high)
}

// between is uniform over low..high, both included.
func (r *random) between(low, high int64) int64 { return low + r.below(high-low+1) }

// skewed is over 0..n-1 and prefers small numbers, as popularity does: half of all draws fall into the first quarter.
func (r *random) skewed(n int64) int64 {
	u := r.next()
	squared, _ := bits.Mul64(u, u)
	high, _ := bits.Mul64(squared, uint64(n))
	return int64(high)
}

// percent is true in p of 100 draws.
func (r *random) percent(p int64) bool { return r.below(100) < p }

func (r *random) pick(list []string) string { return list[r.below(int64(len(list)))] }

// some picks between low and high different elements, in the order of the list.
func (r *random) some(list []string, low, high int64) []string {
	want := min(r.between(low, high), int64(len(list)))
	out := make([]string, 0, want)
	for i, e := range list {
		// Each element is taken with the probability that fills what is still wanted from what is left.
		if r.below(int64(len(list)-i)) < want-int64(len(out)) {
			out = append(out, e)
		}
	}
	return out
}
