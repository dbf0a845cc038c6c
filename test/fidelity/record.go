package fidelity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Record is what Compose made of a case, without what the image and the engine bring:
// what `make compose` writes for the tests that do without the SDK.
type Record struct {
	Compose string `json:"compose"` // version of the SDK
	Made
}

// RecordFile is where the record of a case is, beside the corpus.
func RecordFile(c Case) string {
	return filepath.Join(filepath.Dir(filepath.Dir(c.Dir)), "testdata", c.Name+".json")
}

// ReadRecord reads it.
func ReadRecord(c Case) (Record, error) {
	var r Record
	data, err := os.ReadFile(RecordFile(c))
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("there is no record of Compose's side of %s; run `make compose-record`: %w", c.Name, err)
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read %s: %w", RecordFile(c), err)
	}
	return r, nil
}

// Bytes are the record's file.
func (r Record) Bytes() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", " ")
	return append(data, '\n'), err
}
