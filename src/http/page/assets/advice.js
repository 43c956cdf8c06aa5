// What each reason means, and what to do about it.
const REASONS = {
  malformed_json: ["a value that is no JSON", "The value does not parse. Mend the producer; a redrive helps only where the bytes were cut on the way and are whole now."],
  invalid_utf8: ["bytes that are not UTF-8", "The value holds bytes of another encoding, latin-1 most likely. Mend the producer, or let it send the event again; this record goes through only if it is read differently."],
  nesting_too_deep: ["nested deeper than allowed", "Objects or lists stand in one another deeper than the limit. Flatten what the producer sends."],
  wrong_type: ["a value of the wrong kind", "A member has another JSON type than it should. Mend the producer, or describe the source’s fields in its table and redrive."],
  duplicate_key: ["the same member twice", "An object names a member twice, so what it means depends on the reader. Mend the producer."],
  missing_contact_id: ["no contact’s id in it", "Nothing in the event says whose it is. Send an id, or say in the source’s table where it stands, and redrive."],
  invalid_id: ["an id that can’t be one", "An id or source is empty, too long or holds control characters. Mend the producer."],
  control_character: ["control characters in a field", "A field holds characters that no name or address has. Clean it where it is entered."],
  unknown_event_type: ["a type that is not known here", "The event’s type is none of those known. Map it in the source’s table, then redrive; or discard what is not meant for contacts."],
  null_value: ["no value at all", "A record without a value says nothing here, unless the source’s table calls it a deletion."],
  key_missing: ["no key, so no place in order", "It came without a key even after it was appended once more. Give records the contact’s id as their key."],
  misrouted_key: ["in another partition than its key", "It is not at home even after it was appended once more. Let the producer use the topic’s partitioner."],
  avro_framing: ["Avro, and no registry is set", "Name the schema registry in the configuration, then redrive."],
  protobuf_framing: ["Protobuf, which is not read", "Let the producer send JSON or Avro."],
  invalid_cloudevent: ["a CloudEvent that breaks the rules", "An attribute that CloudEvents 1.0 asks for is missing or wrong. Mend the producer."],
  timestamp_in_future: ["dated too far ahead", "A clock is wrong, or a unit is. Mend it; once the time has come a redrive goes through."],
  invalid_timestamp: ["a time that can’t be read", "Send RFC 3339, or say in the source’s table how its times are written, and redrive."],
  too_large: ["the contact would be too large", "With it the contact would outgrow its limit. Take attributes away, or raise the limit everywhere and redrive."],
  record_too_large: ["the record is too large", "The value is above the limit. Send less, or raise the limit everywhere and redrive."],
  schema: ["breaks its schema", "The event does not fit the schema that its source is held to. The detail names what is wrong."],
  invalid_command: ["a write’s headers can’t be read", "Somebody else wrote what looks like one of our own commands. Look who may write to the topic."],
  invalid_control: ["a control record can’t be read", "Somebody else wrote to the control topic. Look who may write to it."],
  control_full: ["no room for control entries", "As many entries are kept as may be. Old sign-ins end by themselves."],
  invalid_marker: ["a marker of the rules can’t be read", "Somebody else wrote what looks like one of our own markers. Look who may write to the topic."],
  nothing_known: ["no field of it is known", "Nothing in the record is a field here. Describe the source’s fields in its table, then redrive."],
  transform_failed: ["a step of the table failed", "A step of the source’s table can’t be taken with the value that stands there. Mend the table, then redrive."],
  unknown_field: ["a member nothing stands for", "The source refuses unknown members. Map the member in its table, then redrive."],
  schema_unknown: ["a schema nobody knows", "The registry knows no schema of this id. Register it, then redrive."],
  unusable_schema: ["a schema that can’t be used", "The registry’s schema can’t be read, or is of another type. Mend it, then redrive."],
  malformed_avro: ["not what its schema says", "The bytes end early or go on too long for their schema. Mend the producer."],
};
export const REASON_WORDS = Object.keys(REASONS);
export const shortOf = (reason) => REASONS[reason]?.[0] ?? "";
export const adviceOf = (reason) => REASONS[reason]?.[1] ?? "The detail says what stood in the way.";

const LEFT_OUT = { control: "Control records, which are not redriven", hops: "Redriven as often as is allowed", discarded: "Discarded", alreadyRedriven: "Redriven before", incomplete: "Too long to be kept whole, and gone from the log", refused: "Not taken by the log" };
export const leftOutOf = (counts) => Object.entries(counts.leftOut).filter(([, number]) => number > 0).map(([word, number]) => [LEFT_OUT[word] ?? word, number]);
