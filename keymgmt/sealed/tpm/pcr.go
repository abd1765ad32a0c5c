package tpm

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// PCRs is how many a PC's TPM has (TCG PC Client Platform TPM Profile).
const PCRs = 24

// pcrSize is a value of the SHA-256 bank, in octets.
const pcrSize = sha256.Size

type pcr struct {
	index int
	value [pcrSize]byte
}

// readPCRs returns the values of the SHA-256 bank, in order of index, each
// once.
func readPCRs(tp transport.TPM, indexes []int) ([]pcr, error) {
	indexes = slices.Compact(slices.Sorted(slices.Values(indexes)))
	var out []pcr
	for _, i := range indexes {
		if i < 0 || i >= PCRs {
			return nil, fmt.Errorf("PCR %d; accepted: 0 to %d", i, PCRs-1)
		}
		// One at a time: a TPM returns as many as it likes.
		rsp, err := tpm2.PCRRead{PCRSelectionIn: selection([]pcr{{index: i}})}.Execute(tp)
		if err != nil {
			return nil, err
		}
		if len(rsp.PCRValues.Digests) != 1 || len(rsp.PCRValues.Digests[0].Buffer) != pcrSize {
			return nil, errNoBank
		}
		p := pcr{index: i}
		copy(p.value[:], rsp.PCRValues.Digests[0].Buffer)
		out = append(out, p)
	}
	return out, nil
}

func selection(pcrs []pcr) tpm2.TPMLPCRSelection {
	mask := make([]byte, PCRs/8)
	for _, p := range pcrs {
		mask[p.index/8] |= 1 << (p.index % 8)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: mask}}}
}

// policy is the digest of the policy that the PCRs have these values (part 3,
// TPM2_PolicyPCR); empty for none.
func policy(pcrs []pcr) ([]byte, error) {
	if len(pcrs) == 0 {
		return nil, nil
	}
	h := sha256.New()
	for _, p := range pcrs {
		h.Write(p.value[:])
	}
	calc, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, err
	}
	cmd := tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: h.Sum(nil)}, Pcrs: selection(pcrs)}
	if err := cmd.Update(calc); err != nil {
		return nil, err
	}
	return calc.Hash().Digest, nil
}

// satisfy executes the policy in a session of the TPM, with the values that
// PCRs have now.
func satisfy(pcrs []pcr) tpm2.PolicyCallback {
	return func(tp transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
		_, err := tpm2.PolicyPCR{PolicySession: session, Pcrs: selection(pcrs)}.Execute(tp)
		return err
	}
}

// changed are the PCRs that have not the values that they had.
func changed(tp transport.TPM, then []pcr) (indexes []int) {
	var all []int
	for _, p := range then {
		all = append(all, p.index)
	}
	now, err := readPCRs(tp, all)
	if err != nil {
		return nil
	}
	for i, p := range then {
		if now[i] != p {
			indexes = append(indexes, p.index)
		}
	}
	return indexes
}
