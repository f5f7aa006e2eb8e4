//! `serviceScene`: which stage of a recording a callback comes from.

use super::EventType;

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

/// True where a web page is recorded.
pub(super) fn is_web_page(scene: Option<&str>) -> bool {
    scene.is_some_and(|scene| scene.contains("web_record"))
}

impl Part {
    /// Whose a callback of `event_type` is in this scene. A scene nobody has documented is the
    /// recording's: an upload that fails there must not go unnoticed.
    #[must_use]
    pub fn of(event_type: u32, scene: Option<&str>) -> Self {
        let is_about_a_later_stage = matches!(
            EventType(event_type),
            EventType::TRANSCODER_STARTED
                | EventType::TRANSCODER_COMPLETED
                | EventType::DOWNLOAD_FAILED
                | EventType::POSTPONE_TRANSCODE_FINAL_RESULT
        );
        let has = |stage| scene.is_some_and(|scene| scene.contains(stage));
        // `::transcode_failover` among them. `postpone_transcode::rtc_record` isn't.
        if is_about_a_later_stage || has("snapshot") || has("::transcode") {
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
            assert_eq!(Part::of(31, Some(scene)), part, "{scene}");
        }
        assert_eq!(Part::of(31, None), Part::Recording);
        for event_type in [80, 81, 90, 1001] {
            assert_eq!(Part::of(event_type, Some("rtc_record")), Part::Beside);
        }
    }
}
