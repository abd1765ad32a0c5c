package azure

import (
	"net/http"
	"time"
)

// deletedBundle tells of a deleted secret by its latest version.
func (c *Cloud) deletedBundle(q *request, s *Secret, version bool) bundle {
	v := s.find("")
	id := q.base() + "/secrets/" + s.Name
	if version {
		id += "/" + v.ID
	}
	b := c.bundle(id, v, false)
	b.deletion = &deletion{
		RecoveryID: q.base() + "/deletedsecrets/" + s.Name, DeletedDate: s.Deleted.Unix(),
		ScheduledPurgeDate: s.Deleted.Add(c.opts.Retention).Unix(),
	}
	return b
}

func (c *Cloud) deleteSecret(q *request) *reply {
	s := c.store.live(q.call.Secret)
	if s == nil {
		return notFound(q.call.Secret)
	}
	s.Deleted = c.now().Truncate(time.Second)
	return answer(http.StatusOK, c.deletedBundle(q, s, true))
}

func (c *Cloud) getDeleted(q *request) *reply {
	s := c.store.deleted(q.call.Secret)
	if s == nil {
		return deletedNotFound(q.call.Secret)
	}
	return answer(http.StatusOK, c.deletedBundle(q, s, true))
}

func (c *Cloud) recoverSecret(q *request) *reply {
	s := c.store.deleted(q.call.Secret)
	if s == nil {
		return deletedNotFound(q.call.Secret)
	}
	s.Deleted = time.Time{}
	return answer(http.StatusOK, c.bundle(q.secretID(c, s.find("").ID), s.find(""), false))
}

func (c *Cloud) purgeSecret(q *request) *reply {
	s := c.store.deleted(q.call.Secret)
	if s == nil {
		return deletedNotFound(q.call.Secret)
	}
	c.store.purge(s)
	return &reply{status: http.StatusNoContent}
}
