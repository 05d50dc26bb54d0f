//! The monitor: watches the nodes, appoints leaders, pushes the view.
