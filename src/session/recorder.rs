//! One recorder of a session, and typed questions about what it reported. Pure.
//!
//! How a register is stored is known here, in `register` and in the table's item; nobody else reads
//! its fields.

use super::ledger::{Ledger, Noted};
use super::register::{self, Register, RegisterName, Scalar};
use crate::event::{
    CodeName, ComponentStatus, EventType, LeaveCode, LeaveStatus, Phase, ServiceStatus,
    TroubleKind, Upload, UploadState, UploadingStatus, Work,
};
use std::collections::BTreeMap;

/// One recorder of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorder {
    /// Its uid.
    pub uid: String,
    /// When event 12 announced it, ms since the epoch.
    pub announced_at: Option<u64>,
    /// `sendts` of its own callback with the lowest number, ms since the epoch.
    pub since: Option<u64>,
    /// The number of that callback. Those of a stage beside the recording count in `ledger` only.
    pub since_sequence: Option<u64>,
    /// `sendts` of its callback with the highest number, ms since the epoch.
    pub last_sendts: u64,
    /// It said something of its own: anything but 1, 2 and 3.
    pub has_own: bool,
    /// Which of its callbacks came.
    pub ledger: Ledger,
    /// The newest it said, by name.
    pub registers: BTreeMap<RegisterName, Register>,
}

/// Something that a callback reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported<T> {
    /// What it reported.
    pub value: T,
    /// Its number.
    pub sequence: u64,
    /// Its `sendts`, ms since the epoch.
    pub at: u64,
}

impl<T> Reported<T> {
    fn new(register: &Register, value: T) -> Self {
        Self {
            value,
            sequence: register.sequence,
            at: register.at,
        }
    }

    /// What orders two reports of one recorder.
    pub(crate) fn moment(&self) -> (u64, u64) {
        (self.sequence, self.at)
    }
}

impl Recorder {
    /// What orders recorders: when it was announced, else when it began; two that began together
    /// by uid.
    pub(super) fn sort_key(&self) -> (u64, &str) {
        (
            self.announced_at.or(self.since).unwrap_or(u64::MAX),
            &self.uid,
        )
    }

    fn register(&self, name: RegisterName) -> Option<&Register> {
        self.registers.get(&name)
    }

    /// What it does, if it said so.
    #[must_use]
    pub fn phase(&self) -> Option<Reported<Phase>> {
        let register = self.register(RegisterName::Phase)?;
        let phase = register.text("phase").and_then(Phase::read)?;
        Some(Reported::new(register, phase))
    }

    /// Its newest heartbeat: 0 to 10,000 where that is readable.
    #[must_use]
    pub fn progress(&self) -> Option<Reported<Option<i64>>> {
        let register = self.register(RegisterName::Progress)?;
        Some(Reported::new(register, register.int("progress")))
    }

    /// The newest it said about itself.
    #[must_use]
    pub fn work(&self) -> Option<Reported<Work>> {
        let register = self.register(RegisterName::Recorder)?;
        let event_type = u32::try_from(register.int("eventType")?).ok()?;
        let code = |name: CodeName| register.int(name.as_str());
        let work = Work::read(EventType(event_type), code)?;
        Some(Reported::new(register, work))
    }

    /// The 41 of one that a signal killed.
    #[must_use]
    pub fn killed(&self) -> Option<Reported<LeaveCode>> {
        let register = self.register(RegisterName::Recorder)?;
        match self.work()?.value {
            Work::Left(Some(code)) if code.is_killed() => Some(Reported::new(register, code)),
            Work::Left(_)
            | Work::Started(_)
            | Work::WebStarted
            | Work::WebStopped(_)
            | Work::CapabilityLimit => None,
        }
    }

    /// How the service exited, if it did.
    #[must_use]
    pub fn exit(&self) -> Option<Reported<Option<LeaveStatus>>> {
        let register = self.register(RegisterName::Exit)?;
        Some(Reported::new(
            register,
            register.int("leaveStatus").map(LeaveStatus),
        ))
    }

    /// The newest status of the service.
    #[must_use]
    pub fn status(&self) -> Option<Reported<ServiceStatus>> {
        let register = self.register(RegisterName::Status)?;
        let status = register.int("status").map(ServiceStatus)?;
        Some(Reported::new(register, status))
    }

    /// The newest failure, unless it was seen at work since.
    #[must_use]
    pub fn failure(&self) -> Option<Reported<EventType>> {
        let register = self.register(RegisterName::Failure)?;
        let event_type = u32::try_from(register.int("eventType")?).ok()?;
        Some(Reported::new(register, EventType(event_type)))
    }

    /// The newest error (1): its code, as it was told.
    #[must_use]
    pub fn last_error(&self) -> Option<Reported<Option<String>>> {
        let register = self.register(RegisterName::LastError)?;
        let code = register.fields.get("errorCode").map(Scalar::to_string);
        Some(Reported::new(register, code))
    }

    /// The newest backup (32).
    #[must_use]
    pub fn backup(&self) -> Option<Reported<()>> {
        let register = self.register(RegisterName::Backup)?;
        Some(Reported::new(register, ()))
    }

    /// What became of its files: 61 counts more than all else, then the newest of 31 and 32. One
    /// that is older than its newest sign of recording confirms nothing: what came after it isn't
    /// in it.
    #[must_use]
    pub fn upload(&self) -> Option<Reported<Upload>> {
        let reports = [self.on_demand(), self.newest_upload()];
        let recorded_at = self.recorded_at();
        reports
            .into_iter()
            .flatten()
            .find(|upload| !upload.value.state().is_confirmed() || upload.at >= recorded_at)
    }

    /// What its files came to: `Unconfirmed` where nothing says that they are anywhere.
    #[must_use]
    pub fn upload_state(&self) -> UploadState {
        self.upload()
            .map_or(UploadState::Unconfirmed, |upload| upload.value.state())
    }

    /// `sendts` of the newest slice, playlist or stream, or of the start of a web page recording;
    /// ms since the epoch, 0 if there is none.
    #[must_use]
    pub fn recorded_at(&self) -> u64 {
        let web = self.register(RegisterName::Started);
        let web = web.filter(|_| self.recorded_a_page());
        [
            RegisterName::Slice,
            RegisterName::Playlist,
            RegisterName::Stream,
        ]
        .into_iter()
        .filter_map(|name| self.register(name))
        .chain(web)
        .map(|register| register.at)
        .max()
        .unwrap_or(0)
    }

    /// The 61, if one came.
    fn on_demand(&self) -> Option<Reported<Upload>> {
        let upload = Upload {
            event_type: EventType::VOD_TRIGGERED,
            status: None,
            uploading_status: None,
            goes_on_demand: true,
        };
        Some(Reported::new(
            self.register(RegisterName::OnDemand)?,
            upload,
        ))
    }

    /// The newest 31 or 32.
    #[must_use]
    pub fn newest_upload(&self) -> Option<Reported<Upload>> {
        let register = self.register(RegisterName::Upload)?;
        let event_type = u32::try_from(register.int("eventType")?).ok()?;
        let upload = Upload {
            event_type: EventType(event_type),
            status: register.int("status").map(ComponentStatus),
            uploading_status: register.text("uploadingStatus").map(UploadingStatus::read),
            goes_on_demand: register.int("vod").is_some(),
        };
        let is_over = upload.is_over();
        is_over.then(|| Reported::new(register, upload))
    }

    /// True where it said something under one of these names.
    pub(super) fn has_any(&self, names: &[RegisterName]) -> bool {
        names.iter().any(|name| self.registers.contains_key(name))
    }

    /// True where it started to record a web page.
    pub(super) fn recorded_a_page(&self) -> bool {
        let started = self.register(RegisterName::Started);
        started.is_some_and(|started| started.int("eventType").is_some())
    }

    /// True where it was at work at some time.
    #[must_use]
    pub fn has_worked(&self) -> bool {
        self.has_any(&[
            RegisterName::Started,
            RegisterName::Slice,
            RegisterName::Progress,
        ])
    }

    /// The newest callback that shows it at work, by number.
    #[must_use]
    pub fn newest_work(&self) -> Option<Reported<()>> {
        let is_own = |phase: &Register| !self.is_announcement(phase);
        let at_work = self
            .phase()
            .filter(|phase| matches!(phase.value, Phase::Starting | Phase::Recording))
            .filter(|_| self.register(RegisterName::Phase).is_some_and(is_own))
            .map(|phase| phase.moment());
        let uploading = self
            .progress()
            .filter(|progress| progress.value.is_none_or(|value| value < 10_000))
            .map(|progress| progress.moment());
        let says = |name| self.register(name).map(Register::moment);
        let (sequence, at) = [
            at_work,
            uploading,
            says(RegisterName::Started),
            says(RegisterName::Slice),
            says(RegisterName::Playlist),
        ]
        .into_iter()
        .flatten()
        .max()?;
        Some(Reported {
            value: (),
            sequence,
            at,
        })
    }

    /// The newest callback that shows that something is being recorded: a slice, a playlist, a web
    /// page, a stream. A 40 alone doesn't: it may wait in an empty channel.
    #[must_use]
    pub fn sign_of_recording(&self) -> Option<Reported<()>> {
        let says = |name| self.register(name).map(Register::moment);
        let web = self
            .work()
            .filter(|work| work.value == Work::WebStarted)
            .map(|work| work.moment());
        let signs = [
            says(RegisterName::Slice),
            says(RegisterName::Playlist),
            says(RegisterName::Stream),
            web,
        ];
        let (sequence, at) = signs.into_iter().flatten().max()?;
        Some(Reported {
            value: (),
            sequence,
            at,
        })
    }

    /// What said that its work ended abnormally: the newest of each kind of callback that says so,
    /// and the failure that stands, which a later orderly callback doesn't overwrite.
    pub(crate) fn abnormal_exits(&self) -> Vec<Reported<EventType>> {
        let exit = self
            .exit()
            .filter(|exit| exit.value.is_some_and(LeaveStatus::is_abnormal))
            .map(|exit| Reported {
                value: EventType::SESSION_EXIT,
                sequence: exit.sequence,
                at: exit.at,
            });
        let work = self
            .work()
            .filter(|work| work.value.trouble() == Some(TroubleKind::AbnormalExit))
            .map(|work| Reported {
                value: work.value.event_type(),
                sequence: work.sequence,
                at: work.at,
            });
        let status = self
            .status()
            .filter(|status| status.value == ServiceStatus::ABNORMAL_EXIT)
            .map(|status| Reported {
                value: EventType::CLOUD_RECORDING_STATUS_UPDATE,
                sequence: status.sequence,
                at: status.at,
            });
        let failure = self.failure().filter(|failure| match failure.value {
            // A fatal error rings as another kind; a recorder that a signal killed rings only if
            // nothing replaces it.
            EventType::CLOUD_RECORDING_ERROR | EventType::RECORDER_LEAVE => false,
            EventType(_) => true,
        });
        [exit, work, status, failure]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Counts a callback, and notes when the newest one was sent.
    pub(super) fn note(
        &mut self,
        sequence: u64,
        sendts: u64,
        from_zero: bool,
        changed: &mut bool,
    ) -> Noted {
        let last = self.ledger.last;
        let noted = self.ledger.insert(sequence, from_zero);
        *changed |= noted == Noted::New;
        if last.is_none_or(|last| sequence > last) {
            self.last_sendts = sendts;
        } else if last == Some(sequence) && sendts > self.last_sendts {
            self.last_sendts = sendts;
            *changed = true;
        }
        noted
    }

    pub(super) fn put(&mut self, name: RegisterName, register: Register) -> bool {
        if name == RegisterName::Failure && self.was_at_work_after(&register) {
            return false;
        }
        let changed = match self.registers.get(&name) {
            Some(stored)
                if stored.rank(name) >= register.rank(name) && !self.is_announcement(stored) =>
            {
                false
            }
            Some(stored) if *stored == register => false,
            Some(_) | None => {
                self.registers.insert(name, register);
                true
            }
        };
        if changed
            && let Some(failure) = self.registers.get(&RegisterName::Failure)
            && self.was_at_work_after(failure)
        {
            self.registers.remove(&RegisterName::Failure);
        }
        changed
    }

    /// True where a newer 40, 42 or 70 healed a failure.
    fn was_at_work_after(&self, failure: &Register) -> bool {
        [RegisterName::Started, RegisterName::Slice]
            .into_iter()
            .filter_map(|name| self.register(name))
            .any(|work| work.moment() > failure.moment())
    }

    /// Notes that it was announced: at work, though it may not have said a word. The earliest
    /// announcement counts.
    pub(super) fn announce(&mut self, at: u64) -> bool {
        if self
            .announced_at
            .is_some_and(|announced_at| announced_at <= at)
        {
            return false;
        }
        let is_silent = self
            .registers
            .get(&RegisterName::Phase)
            .is_none_or(|phase| self.is_announcement(phase));
        self.announced_at = Some(at);
        if is_silent {
            self.registers.insert(RegisterName::Phase, announcement(at));
        }
        true
    }

    /// True if a phase is only that of its announcement: whatever it says itself counts more,
    /// whenever it was.
    fn is_announcement(&self, phase: &Register) -> bool {
        self.announced_at
            .is_some_and(|at| *phase == announcement(at))
    }
}

/// The phase of a recorder that was announced and hasn't told one itself.
fn announcement(at: u64) -> Register {
    Register {
        sequence: 0,
        at,
        fields: register::phase_fields(Phase::Starting),
    }
}
