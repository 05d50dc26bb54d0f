//! What the log lets go of.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_segment_goes_before_what_was_made_of_it_is_durable() {
    let mut cluster = Cluster::new(&["a", "b"]).await;
    let (refused, well) = (watch::Sender::new(0), Arc::new(AtomicBool::new(false)));
    let (count, is_well) = (refused.clone(), well.clone());
    let fs = Hooked::new(move |op| {
        if op != Op::SyncWal || is_well.load(Ordering::SeqCst) {
            return Ok(());
        }
        count.send_modify(|count| *count += 1);
        Err(std::io::Error::other("the disk is ill"))
    });
    let (a, b) = (cluster.start_in(fs, "a"), cluster.start("b"));
    a.lead(1);
    b.follow(1, "a");
    let mut end = Lsn(0);
    for n in 0..200 {
        end = a.write(1, n).await;
    }
    let before = a.segments().len();
    assert!(before > 1, "{before} segments");
    // Once by the way, and once for want of space.
    a.apply(1, end);
    a.until(&refused, |count| *count > 0).await;
    let by_the_way = *refused.borrow();
    a.replication.make_room();
    assert!(*refused.borrow() > by_the_way);
    assert_eq!(a.segments().len(), before);
    well.store(true, Ordering::SeqCst);
    a.replication.make_room();
    assert_eq!(a.segments().len(), 1);
    a.stop().await;
    b.stop().await;
}
