package azure

import (
	"encoding/json"
	"net/http"
	"time"
)

// bundle is a secret on the wire, with or without its value, and an item of a
// list. Times are Unix seconds.
type bundle struct {
	Value       *string           `json:"value,omitempty"`
	ContentType string            `json:"contentType,omitempty"`
	ID          string            `json:"id"`
	Attributes  wireAttributes    `json:"attributes"`
	Tags        map[string]string `json:"tags,omitempty"`
	*deletion
}

// deletion is what a deleted secret has besides.
type deletion struct {
	RecoveryID         string `json:"recoveryId"`
	DeletedDate        int64  `json:"deletedDate"`
	ScheduledPurgeDate int64  `json:"scheduledPurgeDate"`
}

type wireAttributes struct {
	Enabled         *bool  `json:"enabled,omitempty"`
	NotBefore       *int64 `json:"nbf,omitempty"`
	Expires         *int64 `json:"exp,omitempty"`
	Created         *int64 `json:"created,omitempty"`
	Updated         *int64 `json:"updated,omitempty"`
	RecoveryLevel   string `json:"recoveryLevel,omitempty"`
	RecoverableDays int    `json:"recoverableDays,omitempty"`
}

// parameters are the body of a set or an update. What is absent stays.
type parameters struct {
	Value       *string           `json:"value"`
	ContentType *string           `json:"contentType"`
	Attributes  wireAttributes    `json:"attributes"`
	Tags        map[string]string `json:"tags"`
}

// bundle tells of a version. id is the whole id on the wire.
func (c *Cloud) bundle(id string, v *Version, value bool) bundle {
	enabled := !v.Disabled
	b := bundle{
		ID: id, ContentType: v.ContentType, Tags: v.Tags,
		Attributes: wireAttributes{
			Enabled: &enabled, NotBefore: seconds(v.NotBefore), Expires: seconds(v.Expires),
			Created: seconds(v.Created), Updated: seconds(v.Updated),
			RecoveryLevel: "Recoverable+Purgeable", RecoverableDays: int(c.opts.Retention.Hours() / 24),
		},
	}
	if value {
		b.Value = &v.Value
	}
	return b
}

func seconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	s := t.Unix()
	return &s
}

// apply changes what p names.
func (v *Version) apply(p *parameters) {
	if p.ContentType != nil {
		v.ContentType = *p.ContentType
	}
	if p.Tags != nil {
		v.Tags = p.Tags
	}
	if p.Attributes.Enabled != nil {
		v.Disabled = !*p.Attributes.Enabled
	}
	if s := p.Attributes.NotBefore; s != nil {
		v.NotBefore = time.Unix(*s, 0)
	}
	if s := p.Attributes.Expires; s != nil {
		v.Expires = time.Unix(*s, 0)
	}
}

// check is nil, or what the vault says to a version that is beyond its limits.
func (v *Version) check() *reply {
	switch {
	case len(v.Value) > maxValue:
		return badParameter("The secret value has %d octets, more than the maximum of %d.", len(v.Value), maxValue)
	case len(v.ContentType) > maxContentType:
		return badParameter("The content type has more than %d characters.", maxContentType)
	case len(v.Tags) > maxTags:
		return badParameter("There are %d tags, more than the maximum of %d.", len(v.Tags), maxTags)
	}
	for k, value := range v.Tags {
		if k == "" || len(k) > maxTag || len(value) > maxTag {
			return badParameter("The name and the value of a tag have 1 and 0 to %d characters.", maxTag)
		}
	}
	return nil
}

func checkName(name string) *reply {
	if !validName.MatchString(name) {
		return badParameter("The request URI contains an invalid name: %s", name)
	}
	return nil
}

func conflict(name string) *reply {
	return fail(http.StatusConflict, "Conflict", "ObjectIsDeletedButRecoverable",
		"Secret %s is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.", name)
}

func decode(body []byte) (*parameters, *reply) {
	p := new(parameters)
	if err := json.Unmarshal(body, p); err != nil {
		return nil, badParameter("The request body is no JSON of a secret.")
	}
	return p, nil
}

func (c *Cloud) setSecret(q *request) *reply {
	name := q.call.Secret
	p, bad := decode(q.body)
	switch {
	case bad != nil:
		return bad
	case p.Value == nil:
		return badParameter("Property value is required.")
	case c.store.deleted(name) != nil:
		return conflict(name)
	}
	v := Version{Value: *p.Value}
	v.apply(p)
	if bad := v.check(); bad != nil {
		return bad
	}
	made := c.store.add(name, v, c.now())
	q.call.Version = made.ID
	return answer(http.StatusOK, c.bundle(q.secretID(c, made.ID), made, true))
}

// version finds what a get or an update is about.
func (c *Cloud) version(q *request) (*Version, *reply) {
	name, id := q.call.Secret, q.call.Version
	if id != "" && !validVersion.MatchString(id) {
		return nil, badParameter("Invalid version: %s", id)
	}
	s := c.store.live(name)
	if s == nil {
		return nil, notFound(name)
	}
	if v := s.find(id); v != nil {
		return v, nil
	}
	return nil, notFound(name + "/" + id)
}

func (c *Cloud) getSecret(q *request) *reply {
	v, bad := c.version(q)
	switch {
	case bad != nil:
		return bad
	case v.Disabled:
		return fail(http.StatusForbidden, "Forbidden", "SecretDisabled", "Operation get is not allowed on a disabled secret.")
	}
	return answer(http.StatusOK, c.bundle(q.secretID(c, v.ID), v, true))
}

func (c *Cloud) updateSecret(q *request) *reply {
	v, bad := c.version(q)
	if bad != nil {
		return bad
	}
	p, bad := decode(q.body)
	if bad != nil {
		return bad
	}
	next := *v
	next.apply(p)
	if bad := next.check(); bad != nil {
		return bad
	}
	next.Updated = c.now().Truncate(time.Second)
	*v = next
	return answer(http.StatusOK, c.bundle(q.secretID(c, v.ID), v, false))
}

// secretID is the id on the wire of a version, or of the secret if it is "". The
// name is as it was first written.
func (q *request) secretID(c *Cloud, version string) string {
	name := q.call.Secret
	if s := c.store.get(name); s != nil {
		name = s.Name
	}
	id := q.base() + "/secrets/" + name
	if version != "" {
		id += "/" + version
	}
	return id
}
