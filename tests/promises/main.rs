//! What the receiver promises, tested from outside: real requests to a DynamoDB engine over a
//! socket, the real binary behind a Lambda Runtime API, an SNS endpoint that can misbehave. One
//! module a promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

#[macro_use]
mod harness;

mod a_crowd_of_writers_loses_nothing;
mod a_day_of_late_callbacks_rings_no_false_alarm;
mod a_hostile_session_stays_bounded;
mod a_kill_at_any_point_loses_no_alert;
mod a_link_opens_its_recording_and_nothing_else;
mod a_person_sees_what_happened;
mod a_rehearsal_tells_the_truth;
mod a_storm_is_told_in_digests;
mod a_thousand_silences_are_told_in_time;
mod alerts_survive_crashes_and_copies;
mod any_schedule_ends_in_the_sorted_fold;
mod each_destination_has_a_truth_of_its_own;
mod each_topic_gets_what_it_is_for;
mod every_fault_ends_in_an_answer_that_is_true;
mod every_outcome_is_counted;
mod every_request_gets_the_answer_of_the_table;
mod field_cases_ring_and_end_as_they_should;
mod hostile_bodies_are_kept_and_the_process_lives_on;
mod hostile_events_leave_the_process_alive;
mod leases_hold_and_nothing_blocks_the_sweeper;
mod order_repetition_and_loss_end_in_the_right_items;
mod permissions_are_those_of_the_template;
mod programs_are_told_what_the_fold_says;
mod samples_are_signed_and_stored;
mod secrets_rotate_without_a_refusal;
mod the_sweeper_sends_what_is_left_and_watches;
mod thousands_are_worked_off_in_bounded_runs;
mod troubles_are_recorded_for_the_alarms;
mod what_a_callback_says_is_read_once;
mod what_went_wrong_can_be_put_right;
mod whatever_is_added_is_told;
mod whatever_is_signed_is_kept;
mod writes_cost_what_the_readme_says;
