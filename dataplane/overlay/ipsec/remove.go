package ipsec

import "errors"

// Remove is overlay.Session's: the peer is told, what is established ends, and
// charon forgets the tunnel.
func (s *Session) Remove() error {
	s.Close()
	client, _ := s.c.state()
	if client == nil {
		return s.clear() // of a charon that is gone
	}
	var err error
	for _, m := range s.members {
		err = errors.Join(err, client.UnloadConnection(m.name), client.Terminate(m.name, removePatience))
	}
	if err = errors.Join(err, s.c.dropKey(client, s.keyID), s.unloadCertificates(client), unloadSecrets(client, s.name, nil)); err != nil {
		err = errors.Join(err, s.clear())
	}
	return err
}
