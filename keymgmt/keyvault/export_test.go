package keyvault

import "github.com/linkseal/linkseal/tests/azure"

// For tests that see a vault as its users do, and so cannot be in this package:
// they import what imports it.
var (
	InMemory   = inMemory
	NewJournal = newJournal
	Scenarios  = scenarios
	Put        = put
)

type (
	Journal  = journal
	Scenario = scenario
)

// Count is how many lines have all of parts.
func (j *Journal) Count(parts ...string) int { return j.count(parts...) }

// Name, Begin and Kind are the scenario's.
func (s Scenario) Name() string                      { return s.name }
func (s Scenario) Begin(c *azure.Cloud) (end func()) { return s.begin(c) }
func (s Scenario) Kind() FaultKind                   { return s.kind }
