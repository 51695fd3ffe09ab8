package history

import (
	"encoding/binary"

	"github.com/holdfast/holdfast"
)

// pageSize is PostgreSQL's BLCKSZ, which no package of it changes.
const pageSize = 8192

// pagesPerSegment is how many pages a file of a relation has before the next one begins (RELSEG_SIZE).
const pagesPerSegment = 131072

// pageLSN is the position of the last WAL record that changed the page (pd_lsn: two halves of 32 bits).
func pageLSN(page []byte) holdfast.LSN {
	return holdfast.LSN(binary.LittleEndian.Uint32(page))<<32 | holdfast.LSN(binary.LittleEndian.Uint32(page[4:]))
}

// pageIsSound says whether the page's checksum is right for block number block of its relation. A page that is all zeros has
// not been used yet and has none. The page has pageSize bytes and is of a server with data checksums.
func pageIsSound(page []byte, block uint32) bool {
	if binary.LittleEndian.Uint16(page[14:]) == 0 { // pd_upper: PostgreSQL calls such a page new
		return isZero(page)
	}
	return binary.LittleEndian.Uint16(page[8:]) == pageChecksum(page, block)
}

func isZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// pageChecksum computes what PostgreSQL keeps in pd_checksum: 32 interleaved FNV-1a hashes over the page as if pd_checksum were zero, two
// more rounds of zeros, all folded together with the block number (checksum_impl.h).
func pageChecksum(page []byte, block uint32) uint16 {
	page = page[:pageSize:pageSize]
	var sum uint32
	for lane := 0; lane < checksumLanes; lane += 8 {
		sum ^= checksumEightLanes(page, lane)
	}
	return uint16((sum^block)%65535 + 1)
}

const (
	checksumLanes = 32
	checksumPrime = 16777619
)

var checksumOffsets = [checksumLanes]uint32{
	0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
	0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
	0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
	0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
}

// checksumEightLanes hashes eight of the lanes over the whole page: eight sums fit into registers, thirty-two do not.
func checksumEightLanes(page []byte, lane int) uint32 {
	o := checksumOffsets[lane : lane+8 : lane+8]
	a, b, c, d, e, f, g, h := o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7]
	for i := lane * 4; i < pageSize; i += checksumLanes * 4 {
		row := page[i : i+32 : i+32]
		third := binary.LittleEndian.Uint32(row[8:])
		if i == 0 {
			third &^= 0xFFFF // pd_checksum itself
		}
		a = checksumStep(a, binary.LittleEndian.Uint32(row))
		b = checksumStep(b, binary.LittleEndian.Uint32(row[4:]))
		c = checksumStep(c, third)
		d = checksumStep(d, binary.LittleEndian.Uint32(row[12:]))
		e = checksumStep(e, binary.LittleEndian.Uint32(row[16:]))
		f = checksumStep(f, binary.LittleEndian.Uint32(row[20:]))
		g = checksumStep(g, binary.LittleEndian.Uint32(row[24:]))
		h = checksumStep(h, binary.LittleEndian.Uint32(row[28:]))
	}
	sum := uint32(0)
	for _, v := range [...]uint32{a, b, c, d, e, f, g, h} {
		sum ^= checksumStep(checksumStep(v, 0), 0)
	}
	return sum
}

func checksumStep(sum, value uint32) uint32 {
	t := sum ^ value
	return t*checksumPrime ^ t>>17
}
