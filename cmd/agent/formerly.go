package main

// names are those that an app has and had on this host, its own first. Its records under
// the former ones are part of its history.
func (a *agent) names(app string) []string {
	for _, s := range a.runner.Status() {
		if s.App == app {
			return s.State.Names()
		}
	}
	return []string{app}
}
