package azure

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Secret is a named secret with all its versions, in the order they were made.
type Secret struct {
	Name     string
	Versions []Version
	// Deleted is when it was deleted; zero: it was not.
	Deleted time.Time
}

// Version is one value of a secret. ID, 32 hex digits, and Value never change.
type Version struct {
	ID, Value, ContentType string
	Tags                   map[string]string
	Attributes
}

// Attributes of a version, to the second. Zero times are absent.
type Attributes struct {
	Disabled           bool
	NotBefore, Expires time.Time
	Created, Updated   time.Time
}

// The limits of "About Azure Key Vault secrets".
const (
	maxValue       = 25 * 1024
	maxContentType = 255
	maxTags        = 15
	maxTag         = 256
	maxPage        = 25
)

var (
	validName    = regexp.MustCompile(`^[0-9a-zA-Z-]{1,127}$`)
	validVersion = regexp.MustCompile(`^[0-9a-fA-F]{32}$`)
)

// randomID is 32 hex digits, as a version's.
func randomID() string {
	var b [16]byte
	// crypto/rand never fails: it ends the program instead.
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// find is the version with the id, or the latest if it is "".
func (s *Secret) find(id string) *Version {
	if id == "" {
		return &s.Versions[len(s.Versions)-1]
	}
	for i := range s.Versions {
		if strings.EqualFold(s.Versions[i].ID, id) {
			return &s.Versions[i]
		}
	}
	return nil
}

func (s *Secret) clone() Secret {
	c := *s
	c.Versions = slices.Clone(s.Versions)
	for i := range c.Versions {
		c.Versions[i].Tags = maps.Clone(c.Versions[i].Tags)
	}
	return c
}

// store is what the vault holds, deleted secrets too, by lower-case name.
type store map[string]*Secret

func (s store) get(name string) *Secret { return s[strings.ToLower(name)] }

// live is the secret, or nil if there is none or it is deleted.
func (s store) live(name string) *Secret {
	if x := s.get(name); x != nil && x.Deleted.IsZero() {
		return x
	}
	return nil
}

// deleted is the deleted secret of this name, or nil.
func (s store) deleted(name string) *Secret {
	if x := s.get(name); x != nil && !x.Deleted.IsZero() {
		return x
	}
	return nil
}

// add makes a new version of the secret.
func (s store) add(name string, v Version, now time.Time) *Version {
	x := s.get(name)
	if x == nil {
		x = &Secret{Name: name}
		s[strings.ToLower(name)] = x
	}
	v.ID = randomID()
	v.Created = now.Truncate(time.Second)
	v.Updated = v.Created
	x.Versions = append(x.Versions, v)
	return x.find("")
}

// expire purges what was deleted longer ago than retention.
func (s store) expire(now time.Time, retention time.Duration) {
	maps.DeleteFunc(s, func(_ string, x *Secret) bool {
		return !x.Deleted.IsZero() && !now.Before(x.Deleted.Add(retention))
	})
}

// names are those of live or of deleted secrets, sorted.
func (s store) names(deleted bool) []string {
	var names []string
	for key, x := range s {
		if x.Deleted.IsZero() != deleted {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	return names
}

// purge removes a secret for good.
func (s store) purge(x *Secret) { delete(s, strings.ToLower(x.Name)) }
