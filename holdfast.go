// Package holdfast holds the words of the product: projects, branches, points in time, jobs, people and the rules that
// belong to each of them. Every room speaks in these types.
//
// It has no hands: nothing here reads a file, opens a connection or asks the clock.
package holdfast
