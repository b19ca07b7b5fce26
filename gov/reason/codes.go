package reason

import "fmt"

// The codes of votes.
const (
	NotInTime Code = "not_in_time" // Subject: the policy that did not accept before the voting ended
	Refused   Code = "refused"     // Subject: the policy that no further vote could make accept
)

// The codes of actions that are not possible.
const (
	UnknownActor       Code = "unknown_actor"       // Subject: a name or an id
	ActorExists        Code = "actor_exists"        // Subject: its name; Other: its role
	WrongRole          Code = "wrong_role"          // Subject: the actor's name; Other: its role
	CertificateExists  Code = "certificate_exists"  // Subject: the actor's name
	CertificateUnknown Code = "certificate_unknown" // Subject: the actor's name
	EndedCertificate   Code = "ended_certificate"   // Subject: the name of the organisation
	EarlyCertificate   Code = "early_certificate"   // Subject: the name of the organisation
	WeakCertificate    Code = "weak_certificate"    // Subject: the name of the organisation
	LastCertificate    Code = "last_certificate"    // Subject: the actor's name
	UnknownNode        Code = "unknown_node"        // Subject: its id
	BadAddress         Code = "bad_address"         // Subject: the address
	PlaceExists        Code = "place_exists"        // Subject: the address; Other: the owner's name
	UnknownPlace       Code = "unknown_place"       // Subject: the address; Other: the owner's name
	Unbalanced         Code = "unbalanced"          // Subject: the name of the organisation
	LaterRules         Code = "later_rules"         // Subject: the argument that exists by later rules only
	LaterKey           Code = "later_key"           // Subject: the member; Other: what its encryption key is for
	UnknownEpoch       Code = "unknown_epoch"       // Subject: epochs; Other: the newest one
	TooManyEpochs      Code = "too_many_epochs"     // Subject: epochs; Other: how many may be granted at once
	LastNode           Code = "last_node"           // no trusted node would be left
	LaterKind          Code = "later_kind"          // Subject: the kind of action that exists by later rules only
	CodeExists         Code = "code_exists"         // Subject: its measurement
	UnlistedCode       Code = "unlisted_code"       // Subject: a measurement
	UnlistedPlatform   Code = "unlisted_platform"   // Subject: a platform, or the path of a measurement
	Unchanged          Code = "unchanged"           // Subject: what has that value already
	PolicyNeeded       Code = "policy_needed"       // Subject: the policy
	UnknownPolicy      Code = "unknown_policy"      // Subject: the policy
	BadPolicy          Code = "bad_policy"          // Subject: the policy, or its path
	LockOut            Code = "lock_out"            // Subject: the policy that would refuse even all votes
	FixedSetting       Code = "fixed_setting"       // Subject: the setting
	UnknownSetting     Code = "unknown_setting"     // Subject: the setting
	OtherAction        Code = "other_action"        // Subject: the section of the constitution
	NoSetting          Code = "no_setting"          // Subject: an adapter's setting without its name
	UnknownAdapter     Code = "unknown_adapter"     // Subject: the adapter
	NotANumber         Code = "not_a_number"        // Subject: the setting
	NotATable          Code = "not_a_table"         // Subject: the setting
	BadValue           Code = "bad_value"           // Subject: the setting
	UnknownAction      Code = "unknown_action"      // Subject: its kind
	NotClosed          Code = "not_closed"          // the network serves: there is nothing to open
	OtherService       Code = "other_service"       // what is to be opened has another service than members vote for
	IssuerExists       Code = "issuer_exists"
	UnknownIssuer      Code = "unknown_issuer"
	HoldersFrozen      Code = "holders_frozen" // who holds the keys, or how many open, does not change before the network is open
)

// The codes of constitutions that are not possible. Subject is the field's path.
const (
	OutOfRange     Code = "out_of_range" // Low and High are the bounds
	TooMany        Code = "too_many"
	TooLong        Code = "too_long"
	Missing        Code = "missing"
	BadText        Code = "bad_text"
	BadName        Code = "bad_name"
	BadCertificate Code = "bad_certificate"
	BadKey         Code = "bad_key"
	BadForm        Code = "bad_form"
	Duplicate      Code = "duplicate"
	Insecure       Code = "insecure"
	UnknownRules   Code = "unknown_rules"
	OwnerUnnamed   Code = "owner_unnamed" // a threshold of 1 with several members, who are not named as recovery owners; Other: how many they are
	NoOwner        Code = "no_owner"      // recovery owners are named, and one member alone opens nothing; Other: the threshold
)

// sentence says a reason in words. It is the one place that does.
func sentence(r *Reason) string {
	s, o := r.Subject, r.Other
	switch r.Code {
	case NotInTime:
		return fmt.Sprintf("the policy %s did not accept before the voting ended", s)
	case Refused:
		return fmt.Sprintf("the policy %s cannot accept any more, whatever the missing votes are", s)
	case UnknownActor:
		return fmt.Sprintf("%q is neither a member nor a participant: expected a name or an id of the constitution", s)
	case ActorExists:
		return fmt.Sprintf("%q is a %s already: to change an actor, remove and add it in one proposal", s, o)
	case WrongRole:
		return fmt.Sprintf("%q is a %s", s, o)
	case CertificateExists:
		return fmt.Sprintf("%q has this certificate already", s)
	case CertificateUnknown:
		return fmt.Sprintf("%q does not have this certificate", s)
	case EndedCertificate:
		return fmt.Sprintf("a certificate of %q has ended: let its authority make one that is valid", s)
	case EarlyCertificate:
		return fmt.Sprintf("no certificate of %q is valid yet: it could not take part", s)
	case WeakCertificate:
		return fmt.Sprintf("a certificate of %q has a key that is too weak: expected ECDSA on P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits or more", s)
	case LastCertificate:
		return fmt.Sprintf("it is the only certificate of %q: add another one first", s)
	case UnknownNode:
		return fmt.Sprintf("node %s is not in the node list", s[:min(8, len(s))])
	case BadAddress:
		return fmt.Sprintf("the address %q: expected host:port, with a host name or address in ASCII and a port of 1 to 65535", s)
	case PlaceExists:
		return fmt.Sprintf("the place %s of %q is admitted already", s, o)
	case UnknownPlace:
		return fmt.Sprintf("there is no node of %q at %s, nor is one admitted there", o, s)
	case LastNode:
		return "no node would be left, and the network would stop: add the nodes that stay first"
	case Unbalanced:
		return fmt.Sprintf("%q would have so many votes in consensus that nothing commits without it, or nothing but it is needed", s)
	case LaterRules:
		return fmt.Sprintf("the rules in force do not have the argument %q: members raise them by set rules", s)
	case UnknownEpoch:
		return fmt.Sprintf("epochs %s: the newest epoch is %s, and what is not written yet is not granted", s, o)
	case TooManyEpochs:
		return fmt.Sprintf("epochs %s: at most %s are granted at once: make several grants of them", s, o)
	case LaterKey:
		return fmt.Sprintf("the encryption key of %q is for %s, and the rules in force know keys for X25519 only: members raise them by set rules, or the member makes one by `coco member keygen --encryption x25519`", s, o)
	case LaterKind:
		return fmt.Sprintf("the rules in force do not have the action %q: members raise them by set rules", s)
	case CodeExists:
		return fmt.Sprintf("%s is in the code manifest already", s)
	case UnlistedCode:
		return fmt.Sprintf("%s is not in the code manifest", s)
	case UnlistedPlatform:
		return fmt.Sprintf("%s is not in the TEE manifest", s)
	case NotClosed:
		return "the network serves already: only one that was recovered is opened"
	case OtherService:
		return fmt.Sprintf("the recovered network has the service %s, found %s: it may be another recovery of the same ledger; compare the service with the other members and those who operate the recovered node", o, s)
	case OwnerUnnamed:
		return fmt.Sprintf("a threshold of 1 makes each of %s members a RECOVERY OWNER, who opens the whole ledger alone: vote for that by name in the same proposal (set recovery.owner each_member), or for a higher threshold (set shares.threshold 2)", o)
	case NoOwner:
		return fmt.Sprintf("each member is named a recovery owner, and %s members are needed to open the ledger: set it to none, or set shares.threshold 1, in the same proposal", o)
	case HoldersFrozen:
		return "the network was recovered and is not open yet: the members, their encryption keys and the threshold stay until they have opened it (open-network)"
	case IssuerExists:
		return fmt.Sprintf("there is an issuer %q already: to change it, remove and add it in one proposal", s)
	case UnknownIssuer:
		return fmt.Sprintf("there is no issuer %q", s)
	case Unchanged:
		return fmt.Sprintf("%s: it is so already", s)
	case LockOut:
		return fmt.Sprintf("the policy %q would not accept even with every member's yes, so nobody could change this any more", s)
	}
	return ofPolicy(r)
}

func ofPolicy(r *Reason) string {
	s := r.Subject
	switch r.Code {
	case PolicyNeeded:
		return fmt.Sprintf("every constitution has the policy %q: set another one", s)
	case UnknownPolicy:
		return fmt.Sprintf("there is no policy %q", s)
	case BadPolicy:
		return fmt.Sprintf("the policy %q is not in the language of policies", s)
	case FixedSetting:
		return fmt.Sprintf("%s cannot change once the network exists", s)
	case UnknownSetting:
		return fmt.Sprintf("unknown setting %q: expected limits.*, snapshots.*, shares.threshold, rules, adapters.NAME.* or, by rules 2, epochs.*, nodes.*, reads.* or voting.*", s)
	case OtherAction:
		return fmt.Sprintf("%s is not changed by set: there are actions for it", s)
	case NoSetting:
		return fmt.Sprintf("%s: expected adapters., the adapter's name, and the name of a setting", s)
	case UnknownAdapter:
		return fmt.Sprintf("the network began without an adapter %q", s)
	case NotANumber:
		return fmt.Sprintf("%s: expected a whole number", s)
	case NotATable:
		return fmt.Sprintf("%s is not a table", s)
	case BadValue:
		return fmt.Sprintf("%s: the value is not possible", s)
	case UnknownAction:
		return fmt.Sprintf("unknown kind of action %q", s)
	}
	return ofField(r)
}

func ofField(r *Reason) string {
	text := ""
	switch r.Code {
	case OutOfRange:
		text = "it is out of range"
		if r.Low < r.High {
			text = fmt.Sprintf("expected %d to %d", r.Low, r.High)
		} else if r.Low == r.High && r.Low != 0 {
			text = fmt.Sprintf("expected %d", r.Low)
		}
	case TooMany:
		text = "there are too many"
	case TooLong:
		text = "it is too long"
	case Missing:
		text = "it is missing"
	case BadText:
		text = "expected UTF-8"
	case BadName:
		text = "expected letters, digits, punctuation and spaces, without space around them"
	case BadCertificate:
		text = "it is no certificate that an organisation can use"
	case BadKey:
		text = "it is no encryption key that a member can use"
	case BadForm:
		text = "it is not in the form expected"
	case Duplicate:
		text = "it is listed twice, or belongs to another one"
	case Insecure:
		text = "it protects nothing: only an insecure network may have it"
	case UnknownRules:
		text = "this program does not know these rules: use a later one"
	default: // of a later release
		text = fmt.Sprintf("%s (other: %s)", r.Code, r.Other)
	}
	if r.Subject == "" {
		return text
	}
	return "constitution: " + r.Subject + ": " + text
}
