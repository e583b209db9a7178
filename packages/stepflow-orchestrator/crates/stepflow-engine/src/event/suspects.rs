//! How `AttemptEnded.suspects` is written. The first events had `"suspect": true`. After it the next attempt ran alone,
//! like after a crash with one attempt open.

use serde::{Deserialize, Deserializer};

pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Whether(bool),
        Many(u32),
    }
    Ok(match Form::deserialize(from)? {
        Form::Whether(suspect) => u32::from(suspect),
        Form::Many(suspects) => suspects,
    })
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it out so")]
pub(super) fn are_none(suspects: &u32) -> bool {
    *suspects == 0
}

#[cfg(test)]
mod tests {
    use crate::event::AttemptEnded;

    const ENDED: &str =
        r#"{"task_id":"00000000-0000-0000-0000-000000000001","attempt":1,"outcome":"lost","spends":"none""#;

    fn suspects(written: &str) -> u32 {
        serde_json::from_str::<AttemptEnded>(&format!("{ENDED}{written}}}")).unwrap().suspects
    }

    #[test]
    fn the_first_events_are_read_as_what_they_meant() {
        assert_eq!([suspects(""), suspects(r#","suspect":true"#), suspects(r#","suspects":12"#)], [0, 1, 12]);
    }

    #[test]
    fn who_is_no_suspect_has_no_number() {
        let ended: AttemptEnded = serde_json::from_str(&format!("{ENDED}}}")).unwrap();
        assert_eq!(serde_json::to_string(&ended).unwrap(), format!("{ENDED}}}"));
    }
}
