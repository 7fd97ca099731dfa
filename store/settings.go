package store

// MaxSettings is the largest document of settings, in bytes.
const MaxSettings = 32 << 20

// Settings is an optional capability of an engine: it keeps one document, the settings that operators made,
// over restarts. The engine does not interpret it.
type Settings interface {
	// LoadSettings returns the last saved document, or nil.
	LoadSettings() ([]byte, error)

	// SaveSettings replaces the document. If it returns nil the new one survives a loss of power; after an error
	// or a crash either the old or the new one exists completely. It waits for the disk. Only one goroutine may
	// call it at a time.
	SaveSettings(document []byte) error
}
