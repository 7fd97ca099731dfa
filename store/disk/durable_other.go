//go:build !linux

package disk

import "errors"

// openDurable implements durableFS.
func (private) openDurable(string) (durableFile, int, error) { return nil, 0, errors.ErrUnsupported }
