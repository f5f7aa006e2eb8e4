//! `serviceScene`: which stage of a recording a callback comes from.

/// Whether a callback is the recording's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The recording's own.
    Recording,
    /// The recording's own; its files go to video on demand, and only event 61 confirms them.
    OnDemand,
    /// That of a stage beside it, a snapshot's or a transcoding's: it says nothing about the
    /// recording.
    Beside,
}

impl Part {
    /// Whose a callback is in this scene. A scene nobody has documented is the recording's: an
    /// upload that fails there must not go unnoticed.
    pub(super) fn of_scene(scene: Option<&str>) -> Self {
        let has = |stage| scene.is_some_and(|scene| scene.contains(stage));
        // `::transcode_failover` among them. `postpone_transcode::rtc_record` isn't.
        if has("snapshot") || has("::transcode") {
            Self::Beside
        } else if has("vod") {
            Self::OnDemand
        } else {
            Self::Recording
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn a_scene_tells_whose_a_callback_is() {
        for (scene, part) in [
            ("", Part::Recording),
            ("rtc_record", Part::Recording),
            ("web_record", Part::Recording),
            ("mix_record", Part::Recording),
            ("rtsc/raw-recording", Part::Recording),
            ("postpone_transcode::rtc_record", Part::Recording),
            ("something new", Part::Recording),
            ("rtc_vod", Part::OnDemand),
            ("rtc_snapshot", Part::Beside),
            ("postpone_transcode::transcode", Part::Beside),
            ("postpone_transcode::transcode_failover", Part::Beside),
        ] {
            assert_eq!(Part::of_scene(Some(scene)), part, "{scene}");
        }
        assert_eq!(Part::of_scene(None), Part::Recording);
        for event_type in [80, 81, 90, 1001] {
            let event = Event::read(event_type, &serde_json::json!({}));
            let meaning = event.meaning(event_type, Some("rtc_record"));
            assert_eq!(meaning.part, Part::Beside);
        }
    }
}
