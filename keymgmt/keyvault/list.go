package keyvault

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

const (
	// maxPages bounds a list: 25 versions a page. An honest one may have some
	// empty ones, and may repeat a version while another is written.
	maxPages = 200
	maxIdle  = 8
	// maxVersions is the most of one secret: a change a day for ten years.
	maxVersions = 4000
)

// The tags of a version.
const (
	tagPair     = "linkseal-pair" // of a CAK or a CKN
	tagID       = "linkseal-id"   // of a PSK or a certificate
	tagOwner    = "linkseal-owner"
	tagFallback = "linkseal-fallback"
	tagHard     = "linkseal-expires-hard"
)

var (
	versionForm = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)
	pairForm    = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._:-]{0,63}$`)
)

// versions lists all versions of all of the client's secrets. absent tells
// that a secret that is not there is no error: it has no versions.
func (c *Client) versions(ctx context.Context, absent bool) ([]Version, error) {
	var all []Version
	for _, kind := range c.kinds() {
		vs, err := c.list(ctx, kind)
		if f := asFault(err); f != nil && absent && f.Kind == NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, vs...)
	}
	return all, nil
}

// list is all versions of one secret.
func (c *Client) list(ctx context.Context, kind Kind) ([]Version, error) {
	name := c.names[kind]
	ctx, t := withTrace(ctx, "list the versions of secret "+name)
	pager := c.sdk.NewListSecretPropertiesVersionsPager(name, nil)
	var out []Version
	seen := map[string]bool{}
	idle := 0 // pages in a row with nothing new
	for pages := 1; pager.More(); pages++ {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, t.fault(ctx, err)
		}
		idle++
		for _, p := range page.Value {
			v, ok := c.version(kind, p)
			if !ok {
				return nil, faultf(Lying, "vault %s lists something else than versions of secret %s; find out who answers for it", c.host, name)
			}
			if !seen[v.ID] {
				seen[v.ID], idle = true, 0
			}
			out = append(out, v)
		}
		if idle > maxIdle || pages > maxPages || len(out) > maxVersions {
			return nil, faultf(Lying, "vault %s: the list of versions of secret %s has no end; find out who answers for it, or start a new secret", c.host, name)
		}
	}
	return out, nil
}

// version is what a list says of one; false if it is none of this secret.
func (c *Client) version(kind Kind, p *azsecrets.SecretProperties) (Version, bool) {
	if p == nil || p.ID == nil {
		return Version{}, false
	}
	id, ok := parseID(string(*p.ID), c.names[kind])
	if !ok {
		return Version{}, false
	}
	return version(Ref{kind, id}, p.Attributes, p.Tags), true
}

// parseID takes the version out of https://HOST/secrets/NAME/VERSION.
func parseID(id, name string) (string, bool) {
	u, err := url.Parse(id)
	if err != nil {
		return "", false
	}
	part := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(part) != 3 || part[0] != "secrets" || !strings.EqualFold(part[1], name) || !versionForm.MatchString(part[2]) {
		return "", false
	}
	return part[2], true
}

func version(ref Ref, a *azsecrets.SecretAttributes, tags map[string]*string) Version {
	v := Version{Ref: ref}
	if a != nil {
		v.Enabled = a.Enabled != nil && *a.Enabled
		v.Created, v.NotBefore, v.Expires = seconds(a.Created), seconds(a.NotBefore), seconds(a.Expires)
	}
	tag := func(name string) string {
		if s := tags[name]; s != nil {
			return strings.TrimSpace(*s)
		}
		return ""
	}
	flag := func(name string) bool {
		text := tag(name)
		if text != "" && !slices.Contains([]string{"true", "false"}, strings.ToLower(text)) {
			v.Wrong = "tag " + name + " is neither true nor false"
		}
		return strings.EqualFold(text, "true")
	}
	v.Owner = printable(tag(tagOwner), 256)
	v.Fallback, v.ExpiresHard = flag(tagFallback), flag(tagHard)
	name := tagFor(ref.Kind)
	if v.Pair = tag(name); v.Pair != "" && !pairForm.MatchString(v.Pair) {
		v.Pair, v.Wrong = "", "tag "+name+" is malformed; accepted: 1 to 64 letters, digits, dots, colons, dashes, underscores"
	}
	return v
}

// tagFor names the tag that has a version's Pair.
func tagFor(k Kind) string {
	if k.alone() {
		return tagID
	}
	return tagPair
}

// seconds is a time of the vault's; none is zero.
func seconds(t *time.Time) time.Time {
	if t == nil || t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

// value gets the value of one version.
func (c *Client) value(ctx context.Context, ref Ref) (*Value, *Fault) {
	name := c.names[ref.Kind]
	ctx, t := withTrace(ctx, "get version "+ref.ID+" of secret "+name)
	got, err := c.sdk.GetSecret(ctx, name, ref.ID, nil)
	if err != nil {
		return nil, t.fault(ctx, err)
	}
	if got.ID == nil || got.Value == nil {
		return nil, faultf(Malformed, "vault %s: the answer to %s has no id or no value", c.host, t.op)
	}
	if id, ok := parseID(string(*got.ID), name); !ok || id != ref.ID {
		return nil, faultf(Lying, "vault %s answered with another version to %s; find out who answers for it", c.host, t.op)
	}
	if ref.Kind == Certificate {
		v := decodeCertificate(ref, got.ContentType, []byte(*got.Value))
		return &v, nil
	}
	v := decode(ref, formOf(got.ContentType), []byte(*got.Value))
	return &v, nil
}
