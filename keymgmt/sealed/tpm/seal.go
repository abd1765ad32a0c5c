package tpm

import (
	"bytes"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

// Seal wraps a key of up to 128 octets. The error is an *Error.
func (t *TPM) Seal(key *secret.Key) (out []byte, err error) {
	err = t.with("seal", func(tp transport.TPM) error {
		pcrs, err := readPCRs(tp, t.pcrs)
		if err != nil {
			return err
		}
		digest, err := policy(pcrs)
		if err != nil {
			return err
		}
		p, err := newPrimary(tp)
		if err != nil {
			return err
		}
		defer p.flush()
		rsp, err := tpm2.Create{
			ParentHandle: tpm2.AuthHandle{Handle: p.handle, Name: p.name, Auth: p.session(toTPM)},
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: key.Bytes()}),
			}},
			InPublic: tpm2.New2B(tpm2.TPMTPublic{
				Type:    tpm2.TPMAlgKeyedHash,
				NameAlg: tpm2.TPMAlgSHA256,
				ObjectAttributes: tpm2.TPMAObject{
					FixedTPM:    true,
					FixedParent: true,
					// Of an object without a policy, by its empty password.
					UserWithAuth: len(digest) == 0,
					NoDA:         true,
				},
				AuthPolicy: tpm2.TPM2BDigest{Buffer: digest},
			}),
		}.Execute(tp)
		if err != nil {
			return err
		}
		b := blob{primary: p.name.Buffer, public: rsp.OutPublic.Bytes(), private: rsp.OutPrivate.Buffer, pcrs: pcrs}
		out = b.append(nil)
		return nil
	})
	return out, err
}

// Unseal is the inverse; the caller zeroes the key. The error is an *Error.
func (t *TPM) Unseal(sealed []byte) (key *secret.Key, err error) {
	err = t.with("unseal", func(tp transport.TPM) error {
		b, err := parseBlob(sealed)
		if err != nil {
			return foreign{err}
		}
		p, err := newPrimary(tp)
		if err != nil {
			return err
		}
		defer p.flush()
		if !bytes.Equal(p.name.Buffer, b.primary) {
			return foreign{errOther}
		}
		object, err := tpm2.Load{
			ParentHandle: tpm2.AuthHandle{Handle: p.handle, Name: p.name, Auth: p.session(toTPM)},
			InPrivate:    tpm2.TPM2BPrivate{Buffer: b.private},
			InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](b.public),
		}.Execute(tp)
		if err != nil {
			return loadError(err)
		}
		defer flush(tp, object.ObjectHandle)
		session := p.session(fromTPM)
		if len(b.pcrs) > 0 {
			session = tpm2.Policy(tpm2.TPMAlgSHA256, nonce, satisfy(b.pcrs), p.salted(fromTPM)...)
		}
		rsp, err := tpm2.Unseal{
			ItemHandle: tpm2.AuthHandle{Handle: object.ObjectHandle, Name: object.Name, Auth: session},
		}.Execute(tp)
		if err != nil {
			return unsealError(tp, b.pcrs, err)
		}
		key = secret.New(rsp.OutData.Buffer)
		return nil
	})
	return key, err
}
