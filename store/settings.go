package store

// MaxSettings is the largest document of settings, in bytes.
const MaxSettings = 32 << 20

// Settings is what an engine may do beside Store: it keeps one document of its user's over restarts, what operators have
// set on functions. The engine does not look into it.
type Settings interface {
	// LoadSettings returns the document that was saved last, nil if none was.
	LoadSettings() ([]byte, error)

	// SaveSettings replaces the document. When it returns nil the new one survives a loss of power; with an error, or
	// after a crash, either the old or the new one is there, whole. It waits for the disk. Only one goroutine may
	// call it at a time.
	SaveSettings(document []byte) error
}
