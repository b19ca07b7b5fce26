package constitution

// EvidenceContext is the purpose of the evidence in a NodeRecord; see attest.ReportData.
const EvidenceContext = "coco node"
