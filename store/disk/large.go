package disk

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gearloop/store"
)

// pieceSize is what an argument is read and handed on by.
const pieceSize = 256 << 10

// writeArgument puts a large argument into a file of its own, durably but for the directory.
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

// argumentFileSize is the size of the file of an argument of so many bytes.
func argumentFileSize(size int64) int64 {
	const room = blockSize - headerSize
	whole, rest := size/room, size%room
	if rest > 0 {
		rest += headerSize
	}
	return whole*blockSize + rest
}

// readArgument writes an argument to w, or as much of it as can be read, with an error.
func readArgument(fs vfs.FS, path string, size int64, w io.Writer) error {
	f, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := record.NewReader(f, 0).Next()
	var n int64
	if err == nil {
		// Without its other methods w would be handed the reader's own pieces, of less than a block.
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

// bufferedReader fills what it is given to read into.
type bufferedReader struct{ r io.Reader }

func (b bufferedReader) Read(p []byte) (n int, err error) {
	n, err = io.ReadFull(b.r, p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}
