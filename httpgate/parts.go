package httpgate

import (
	"io"
	"sync/atomic"
)

// budget counts buffered bytes.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

const (
	firstBlock = 4 << 10
	lastBlock  = 256 << 10
)

// parts holds data of unknown length in blocks, which are charged to a budget and never moved.
type parts struct {
	budget *budget
	blocks [][]byte
	size   int64 // bytes of data
	room   int64 // bytes charged
}

// readAll reads r to its end. It returns errTooLarge for more than limit bytes in all, errKept if the budget
// is exhausted.
func (p *parts) readAll(r io.Reader, limit int64) error {
	for {
		if n := len(p.blocks); n == 0 || len(p.blocks[n-1]) == cap(p.blocks[n-1]) {
			if err := p.grow(); err != nil {
				return err
			}
		}
		last := &p.blocks[len(p.blocks)-1]
		n, err := r.Read((*last)[len(*last):cap(*last)])
		*last = (*last)[:len(*last)+n]
		if p.size += int64(n); p.size > limit {
			return errTooLarge
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *parts) grow() error {
	size := firstBlock
	if n := len(p.blocks); n > 0 {
		size = min(2*cap(p.blocks[n-1]), lastBlock)
	}
	if !p.budget.take(int64(size)) {
		return errKept
	}
	p.room += int64(size)
	p.blocks = append(p.blocks, make([]byte, 0, size))
	return nil
}

// free returns all blocks to the budget.
func (p *parts) free() {
	p.budget.give(p.room)
	p.blocks, p.size, p.room = nil, 0, 0
}
