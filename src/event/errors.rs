//! What Agora's error and warning codes mean, and what to do about an error. Pure tables.
//!
//! The lists are those of Agora's pages in 2026: one of the uploader, one of the platform, one of
//! all common errors, and the older one of the recording engine, which the specification of 2021
//! names for the recorder. Where two pages disagree about a code, its words name both readings and
//! its steps fit both. `docs/codes.md` shows the tables.

use super::{Module, Stat};

/// One meaning of one or several codes.
#[derive(Debug)]
pub struct Row {
    codes: &'static [i64],
    /// What happened, with all documented causes.
    pub meaning: &'static str,
    /// What to do; empty where nothing but a new start helps.
    pub step: &'static str,
}

macro_rules! list {
    ($(#[$doc:meta])* $name:ident { $([$($code:literal),+] $meaning:expr, $step:expr;)+ }) => {
        $(#[$doc])*
        const $name: &[Row] = &[
            $(Row { codes: &[$($code),+], meaning: $meaning, step: $step }),+
        ];
    };
}

const CHECK_STORAGE: &str = "Check that your storage accepts uploads, and which files arrived; \
    what was not uploaded may be lost.";
const CHECK_PARAMETERS: &str = "Compare the parameters of the request with Agora's reference.";
const CHECK_STARTS_TWICE: &str = "Check whether something starts this recording twice; the first \
    one may still run: call query.";
const NEW_TOKEN: &str = "Make a new token for exactly this channel and recorder uid.";
const TRY_LATER: &str = "Begin anew with acquire and start; if that fails, too, wait longer before \
    each further try.";
const BEGIN_ANEW: &str = "Call acquire again and use its new resource ID, with the same App ID, \
    channel and uid in acquire and start.";

list! {
    /// Event 1, the uploader.
    UPLOADER {
        [32] "the configuration of your storage is wrong",
            "Check storageConfig: vendor, region, bucket, access key, secret key; and that this \
            key may write to the bucket.";
        [47] "uploading a recorded file failed", CHECK_STORAGE;
        [51] "the uploader could not process the recorded files", CHECK_STORAGE;
    }
}

list! {
    /// Event 1, the platform.
    PLATFORM {
        [50] "uploading the recorded files timed out",
            "Check that your storage accepts uploads, that its bucket is in the region that \
            recordings run in, and which files arrived; what was not uploaded may be lost.";
        [52] "starting the recording service timed out", "";
    }
}

list! {
    /// Event 1, every other module: common errors, those of the REST API.
    COMMON {
        [2] "a parameter is invalid: of a wrong type, misspelt, out of range, or missing",
            CHECK_PARAMETERS;
        [7, 201] "the recording is already running: start was called again with the same resource \
            ID",
            CHECK_STARTS_TWICE;
        [8] "the HTTP request is wrong: its Content-type, its URL (without cloud_recording), its \
            method, or its body, which isn't JSON",
            "Compare the request with Agora's reference.";
        [49] "the recording is already exiting: stop was called twice, the recorder was removed \
            from the channel, or nobody was in the channel for maxIdleTime",
            "Check which of the three it was; if nobody was there for a while only, set a longer \
            maxIdleTime.";
        [53] "a recording of this channel with this recorder uid is already running, started with \
            another resource ID",
            "Check whether something starts this recording twice. A second recording of the \
            channel needs a recorder uid of its own, in acquire and in start.";
        [62] "the request timed out or did not reach the recording service; in Agora's older list, \
            when acquire was called: Cloud Recording isn't enabled for the App ID",
            "Send the same request again; if that fails, begin anew with acquire and start. If no \
            recording starts at all, enable Cloud Recording for this App ID in the Agora console.";
        [65] "the request was not completed, most often because the network is unsteady",
            "Send the same request again after 3 and after 6 seconds, with the same resource ID; \
            if start still fails, begin anew with acquire.";
        [101] "the token is missing, expired or made with another certificate, or only one of app \
            and recorder uses one; or the App ID is invalid",
            "Check the token first: is it there, still valid, made with the certificate of this \
            App ID, and needed (or not) by both sides? Then check the App ID.";
        [109] "the token has expired", NEW_TOKEN;
        [110] "the token is invalid, or made for another channel or uid; or there is none, and \
            the project asks for one",
            NEW_TOKEN;
        [200] "no error: the request succeeded", "";
        [206] "nobody in the channel sent a stream, or some files are in Agora's backup only, or \
            the recording isn't over yet",
            "Check the channel's name, and which files are in your storage.";
        [400] "the App ID is invalid, or Cloud Recording isn't enabled for it; as an HTTP status \
            also: the request is malformed",
            "Check the App ID, and that Cloud Recording is enabled for it in the Agora console. \
            Compare the request with Agora's reference.";
        [401] "the channel's name has characters that aren't allowed; as an HTTP status: the \
            customer ID and secret are missing, wrong, or those of another App ID",
            "Check the channel's name, and the Authorization header of the request.";
        [404] "there is no such recording: it may have exited, or a failover is under way; as an \
            HTTP status also: the URL or the method is wrong",
            "Call query again in 90 seconds: if it still answers 404, the recording is over.";
        [405] "the App ID isn't active at Agora, perhaps because a bill is overdue",
            "Check the state of the account and its bills in the Agora console.";
        [406] "more recordings run at once than Agora allows this account",
            "Stop recordings that nobody needs, look for ones that are never stopped, and start \
            again; ask Agora support for a higher limit.";
        [429] "requests are sent more often than Agora allows",
            "Call Agora's API less often, or ask Agora support for a higher limit.";
        [432] "a parameter is wrong; or the App ID, channel or uid is another one than in acquire",
            "Compare the parameters with Agora's reference, and App ID, channel and uid with those \
            of acquire.";
        [433] "the resource ID has expired: start has to follow within 5 minutes after acquire",
            "Call acquire again, and start soon after it.";
        [435] "nothing was recorded: nobody in the channel sent a stream",
            "Check the channel's name, and whether anybody was expected to send sound or video \
            there.";
        [500] "an internal error of Agora's", TRY_LATER;
        [501] "Agora had no resources for a recording; in Agora's older list: the recording is \
            exiting, as after stop",
            "If it was being stopped, wait until it has exited. Otherwise begin anew with acquire \
            and start, and wait longer before each further try.";
        [502] "Agora had no resources for a recorder", TRY_LATER;
        [504] "Agora took too long to find resources, or to answer", TRY_LATER;
        [1001] "Agora can't read the resource ID", BEGIN_ANEW;
        [1003] "the App ID or the recording ID (sid) doesn't belong to the resource ID", BEGIN_ANEW;
        [1013] "the channel's name is invalid: 64 bytes or longer, or with characters that aren't \
            allowed",
            "Check the channel's name.";
        [1028] "a parameter of updateLayout is wrong, or the uids are",
            "Compare the request with Agora's reference, and check the uids in it.";
    }
}

list! {
    /// Event 1, the recorder: the recording engine's own errors.
    ENGINE {
        [0] "no error", "";
        [1] "a general error, without a reason", "";
        [2] "a parameter is invalid, such as a channel's name with characters that aren't allowed",
            "Check the channel's name.";
        [3] "an internal failure, or the engine is not ready; with stat 16 Agora calls it a normal \
            exit", "";
        [4] "the request is not supported, or the encryption mode is wrong",
            "Check the encryption mode that the recording was started with.";
        [5] "the request was refused: the engine is not initialized, or the channel's name is \
            empty or in use", "Check the channel's name.";
        [6] "a buffer of the engine is too small", "";
        [7] "the engine was used before it was initialized", "";
        [9] "the permission to use a device is missing", "";
        [10] "the engine did not answer within 10 s", "";
        [17] "joining the channel was rejected: the recorder is already in it", CHECK_STARTS_TWICE;
        [18] "leaving the channel was rejected: the recorder is not in it", "";
        [19] "a resource is already in use", "";
        [20] "a request was dropped, perhaps because requests came too often", "";
        [21] "the engine did not initialize because of a firewall", "";
        [22] "the engine got no resources of its system", "";
        [102] "the channel's name is invalid", "Check the channel's name.";
        [103] "no server is to be had in the region", "Try another region in start.";
        [111] "the connection was interrupted for more than 4 s", "";
        [112] "the connection was lost for more than 10 s", "";
        [113] "the recorder is not in the channel", "";
        [114, 115, 116, 117] "a data stream failed: too much data, too fast, too many streams, or \
            a timeout", "";
        [119] "switching between host and audience failed", "";
        [120] "decryption failed: another key or mode than the channel's",
            "Check the decryption mode and key that the recording was started with.";
        [123] "the recorder was banned, or removed from the channel by the server",
            "Check whether something removes users from the channel, the recorder's uid among \
            them.";
        [124, 125, 126, 127, 128, 129] "the image of a watermark can't be used: its parameters, \
            path, format, content, or reading it", "Check the watermark that was asked for.";
        [130] "an encrypted stream can't be pushed", "";
        [134] "the user account is invalid", "Check the recorder uid.";
        [151, 152, 153, 154, 155, 156] "pushing the stream to a live audience failed: an address \
            is wrong or somebody else's, there are more than 10, the stream isn't found, or it is \
            an error of Agora's server",
            "Check the push address.";
        [157] "a program library of the engine is missing", "";
        [160] "the engine already records sound", "";
        [1001, 1002] "the media engine did not start", "";
        [1003, 1004, 1501, 1502, 1600, 1601, 1602, 1603, 1736] "a camera or its video failed; \
            Agora documents this for apps only", "";
        [1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1015, 1017, 1018, 1022, 1023, 1027,
            1033, 1101, 1108, 1109, 1111, 1112, 1115, 1153, 1156, 1157, 1160, 1201, 1206, 1210,
            1213, 1214, 1301, 1303, 1306, 1307, 1309, 1311, 1314, 1319, 1320, 1322, 1323, 1351,
            1353, 1354, 1355, 1356, 1357, 1358, 1359, 1360, 1735] "a sound device \
            failed; Agora documents this for apps only", "";
    }
}

list! {
    /// Event 2, the uploader.
    UPLOADER_WARNINGS {
        [31] "a slice is uploaded to your storage again", "";
        [32] "a slice is uploaded again, to Agora's backup", "";
    }
}

list! {
    /// Event 2, the recorder: the recording engine's own warnings.
    ENGINE_WARNINGS {
        [8] "a view is invalid", "";
        [16] "video did not initialize, perhaps for lack of resources", "";
        [20] "a request waits for modules that aren't ready", "";
        [103] "no channel resources are available", "";
        [104] "looking up the channel timed out, most often because the network is poor", "";
        [105] "looking up the channel was rejected by the server", "";
        [106] "joining the channel timed out, most often because the network is poor", "";
        [107] "joining the channel was rejected by the server", "";
        [108] "the recording program failed; the recording is being resumed", "";
        [111] "switching to the live video timed out", "";
        [118] "setting the role timed out", "";
        [120] "decryption failed", "";
        [121] "the recorder could not join the channel", "";
        [122] "the recorder tries another server", "";
        [131] "the connection to the channel can't be recovered", "";
        [132] "the IP address has changed", "";
        [133] "the port has changed", "";
        [701] "a sound file to be mixed in can't be opened", "";
        [1014, 1016, 1019, 1020, 1021, 1025, 1029, 1031, 1032, 1033, 1040, 1051, 1052, 1053, 1323,
            1324] "something is wrong with a sound device; Agora documents this for apps only", "";
        [1610, 1611, 1612] "a video can't be enlarged; Agora documents this for apps only", "";
    }
}

/// All readings of an `errorCode` of event 1, the newest list first; none for a code that isn't
/// documented for this module.
#[must_use]
pub fn error_readings(module: Option<Module>, code: i64) -> Vec<&'static Row> {
    match module {
        Some(Module::UPLOADER) => find(&[UPLOADER], code),
        Some(Module::PLATFORM) => find(&[PLATFORM], code),
        // The engine's codes may come negative, and mean the same.
        Some(Module::RECORDER) => find(&[COMMON, ENGINE], code.saturating_abs()),
        Some(Module(_)) | None => find(&[COMMON], code),
    }
}

/// What an error (event 1) is, by each list that knows its code, and what its `stat` adds.
#[must_use]
pub fn error_meaning(module: Option<Module>, code: Option<i64>, stat: Option<Stat>) -> String {
    let readings = code.map_or_else(Vec::new, |code| error_readings(module, code));
    let meanings: Vec<_> = readings.iter().map(|row| row.meaning).collect();
    let mut words = meanings.join("; or, in Agora's older list of the recording engine: ");
    if words.is_empty() {
        words.push_str(match code {
            Some(_) => "a code Agora doesn't document",
            None => "Agora gives no code",
        });
    }
    match stat.and_then(Stat::in_words) {
        Some(stat) => format!("{words} (stat: {stat})"),
        None => words,
    }
}

/// What a `warnCode` of event 2 means.
#[must_use]
pub fn warning_meaning(module: Option<Module>, code: i64) -> Option<&'static str> {
    let list = match module? {
        Module::RECORDER => ENGINE_WARNINGS,
        Module::UPLOADER => UPLOADER_WARNINGS,
        Module(_) => return None,
    };
    find(&[list], code).first().map(|row| row.meaning)
}

fn find(lists: &[&'static [Row]], code: i64) -> Vec<&'static Row> {
    let rows = lists.iter().copied().flatten();
    rows.filter(|row| row.codes.contains(&code)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every list under its heading in `docs/codes.md`.
    pub(in crate::event) const LISTS: [(&str, &[Row]); 6] = [
        ("Errors of the uploader (module 1)", UPLOADER),
        ("Errors of the platform (module 2)", PLATFORM),
        ("Errors of every other module", COMMON),
        ("Errors of the recorder's engine (module 0)", ENGINE),
        ("Warnings of the uploader (module 1)", UPLOADER_WARNINGS),
        (
            "Warnings of the recorder's engine (module 0)",
            ENGINE_WARNINGS,
        ),
    ];

    impl Row {
        /// The codes, as they are printed.
        pub(in crate::event) fn printed(&self) -> String {
            let codes: Vec<_> = self.codes.iter().map(i64::to_string).collect();
            codes.join(", ")
        }
    }

    #[test]
    fn every_documented_error_has_words() {
        for (module, codes) in [
            (Module::UPLOADER, "32 47 51"),
            (Module::PLATFORM, "50 52"),
            (
                Module::RECORDER,
                "0 1 2 3 4 5 6 7 8 9 10 17 18 19 20 21 22 49 53 62 65 101 102 103 109 110 111 112 \
                113 114 115 116 117 119 120 123 124 129 130 134 151 156 157 160 404 405 406 432 \
                433 435 500 501 502 504 1001 1003 1005 1013 1028 1360 1600 1735",
            ),
            (
                Module::WEB_RECORDER,
                "2 7 8 49 53 62 65 101 109 110 200 201 206 400 401 404 405 406 429 432 433 435 \
                500 501 502 504 1001 1003 1013 1028",
            ),
            (Module(9), "2 7 62 109 110 406 435 501"),
        ] {
            for code in codes.split_whitespace() {
                let code: i64 = code.parse().unwrap();
                assert!(
                    !error_readings(Some(module), code).is_empty(),
                    "{module} {code}"
                );
            }
        }
        for code in [
            8, 16, 20, 103, 104, 105, 106, 107, 108, 111, 118, 120, 121, 122, 131, 1019,
        ] {
            assert!(
                warning_meaning(Some(Module::RECORDER), code).is_some(),
                "{code}"
            );
        }
        for code in [31, 32] {
            assert!(
                warning_meaning(Some(Module::UPLOADER), code).is_some(),
                "{code}"
            );
        }
    }

    #[test]
    fn no_list_names_a_code_twice() {
        for (name, list) in LISTS {
            let mut codes: Vec<_> = list.iter().flat_map(|row| row.codes).collect();
            codes.sort_unstable();
            assert!(codes.windows(2).all(|pair| pair[0] != pair[1]), "{name}");
        }
    }

    #[test]
    fn where_two_lists_disagree_both_readings_are_named() {
        let recorder = |code| error_meaning(Some(Module::RECORDER), Some(code), None);
        for (code, newer, older) in [
            (7, "already running", "before it was initialized"),
            (62, "timed out", "isn't enabled"),
            (501, "no resources", "exiting"),
            (101, "token", "App ID"),
            (1013, "channel's name", "sound device"),
        ] {
            let words = recorder(code);
            let places = (words.find(newer).unwrap(), words.find(older).unwrap());
            assert!(places.0 < places.1, "{words}");
        }
        let elsewhere = error_meaning(Some(Module::WEB_RECORDER), Some(7), None);
        assert!(!elsewhere.contains("initialized"), "{elsewhere}");
    }

    #[test]
    fn a_code_means_what_the_list_of_its_module_says() {
        for (module, code) in [
            (Some(Module::RECORDER), 47),
            (Some(Module::UPLOADER), 110),
            (Some(Module::UPLOADER), -32),
            (Some(Module::PLATFORM), 65),
            (Some(Module::WEB_RECORDER), 17),
            (None, 47),
        ] {
            assert!(error_readings(module, code).is_empty(), "{module:?} {code}");
        }
        let recorder = |code, stat| error_meaning(Some(Module::RECORDER), code, stat);
        assert_eq!(
            recorder(Some(-112), None),
            recorder(Some(112), Some(Stat::OK))
        );
        assert!(recorder(Some(112), Some(Stat(24))).ends_with("(stat: poll error; poll hang-up)"));
        assert_eq!(recorder(None, None), "Agora gives no code");
        assert_eq!(recorder(Some(4711), None), "a code Agora doesn't document");
        assert_eq!(warning_meaning(None, 32), None);
    }
}
