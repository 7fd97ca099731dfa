package disk

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// pieceSize is the size of the pieces in which an argument is read, in bytes.
const pieceSize = 256 << 10

// writeArgument writes a large argument to a file of its own and syncs it, but not the directory.
func writeArgument(fs vfs.FS, path string, argument [][]byte) (err error) {
	w, err := createWriter(fs, path, 0)
	if err != nil {
		return err
	}
	defer func() {
		if closed := w.file.Close(); err == nil {
			err = closed
		}
	}()
	r, err := w.records.Next()
	if err != nil {
		return err
	}
	for _, piece := range argument {
		if _, err := r.Write(piece); err != nil {
			return err
		}
	}
	if err := w.records.Flush(); err != nil {
		return err
	}
	return w.sync()
}

// argumentFileSize returns the size of the file for an argument of size bytes.
func argumentFileSize(size int64) int64 {
	const room = blockSize - headerSize
	whole, rest := size/room, size%room
	if rest > 0 {
		rest += headerSize
	}
	return whole*blockSize + rest
}

// readArgument writes an argument to w. After an error w has got the readable part.
func readArgument(fs vfs.FS, path string, size int64, w io.Writer) error {
	f, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := record.NewReader(f, 0).Next()
	var n int64
	if err == nil {
		// Without hiding its other methods w would get the reader's own pieces, which are smaller than a block.
		n, err = io.CopyBuffer(onlyWriter{w}, bufferedReader{r}, make([]byte, min(size+1, pieceSize)))
	}
	switch {
	case err == nil && n != size:
		return fmt.Errorf("%w: %s has %d bytes, not %d", store.ErrDamaged, path, n, size)
	case err == io.EOF || unreadable(err):
		return fmt.Errorf("%w: %s can't be read (%w)", store.ErrDamaged, path, err)
	}
	return err
}

type onlyWriter struct{ io.Writer }

// bufferedReader fills the whole buffer of each Read.
type bufferedReader struct{ r io.Reader }

func (b bufferedReader) Read(p []byte) (n int, err error) {
	n, err = io.ReadFull(b.r, p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}
