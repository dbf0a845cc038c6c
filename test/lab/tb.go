package lab

import (
	"context"
	"os"
)

// TB is what the lab needs of a *testing.T; the demo has none, and links no test
// package.
type TB interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Start opens a lab for a test and closes it when the test ends, however it ends. It
// skips only where TEAL_NO_DOCKER=1 says that there is no engine; CI=true knows no
// such excuse.
func Start(t TB) *Lab {
	t.Helper()
	if os.Getenv("TEAL_NO_DOCKER") == "1" && os.Getenv("CI") != "true" {
		t.Skipf("TEAL_NO_DOCKER=1: this test needs a container engine")
	}
	l, err := New(t.Context(), t.Logf)
	if err != nil {
		t.Fatalf("%v\nThis test needs a container engine; set TEAL_NO_DOCKER=1 to skip such tests.", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close lab: %v", err)
		}
	})
	return l
}

// Image is Build for a test.
func (l *Lab) Image(t TB, i Image) (ref string) {
	t.Helper()
	ref, err := l.Build(t.Context(), i)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return ref
}
