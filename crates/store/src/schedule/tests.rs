use serde_json::json;

use super::*;
use crate::tests::Fixture;

fn names(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.name.as_str()).collect()
}

#[test]
fn wake_ups_survive_and_come_when_they_are_due() {
    let (fixture, solution) = Fixture::with_solution();
    let id = solution.id;
    fixture.put_job(id, "late", Some(300), None, &json!(1), 10).expect("stored");
    fixture.put_job(id, "early", Some(200), None, &json!(2), 11).expect("stored");
    fixture.put_job(id, "block", None, Some(7), &json!(3), 12).expect("stored");
    let fixture = fixture.reopen();
    assert_eq!(names(&fixture.all_jobs().expect("read")), ["late", "early", "block"]);
    assert_eq!(names(&fixture.due_jobs(199).expect("read")), [""; 0]);
    assert_eq!(names(&fixture.due_jobs(300).expect("read")), ["early", "late"]);
    assert_eq!(names(&fixture.jobs_due_at_block(id, 6).expect("read")), [""; 0]);
    assert_eq!(names(&fixture.jobs_due_at_block(id, 7).expect("read")), ["block"]);
    assert_eq!(fixture.jobs_due_at_block(9, 7).expect("read"), []);
    assert!(fixture.delete_job(id, "late").expect("deleted"));
    assert!(!fixture.delete_job(id, "late").expect("not there any more"));
    assert_eq!(names(&fixture.jobs(id).expect("read")), ["early", "block"]);
    assert!(matches!(fixture.put_job(9, "x", None, None, &json!(null), 1), Err(StoreError::NotFound { .. })));
}

#[test]
fn ending_a_delivered_wake_up_spares_the_one_asked_for_meanwhile() {
    let (fixture, solution) = Fixture::with_solution();
    let first = fixture.put_job(solution.id, "check", Some(1), None, &json!(null), 1).expect("stored");
    let second = fixture.put_job(solution.id, "check", Some(9), None, &json!({ "n": 2 }), 2).expect("replaced");
    assert!(!fixture.finish_job(first.id).expect("gone already"));
    assert_eq!(fixture.jobs(solution.id).expect("read"), std::slice::from_ref(&second));
    assert!(fixture.finish_job(second.id).expect("ended"));
    assert_eq!(fixture.all_jobs().expect("read"), []);
}
